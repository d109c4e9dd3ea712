import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

import { Calls, Count, Figures, Keys, Keystead, Session } from "./console.jsx";

const PARTS = { Keys, Calls, Figures };

function Page() {
  const [name, setName] = useState("Keys");
  const Part = PARTS[name];
  return (
    <Session>
      <nav>
        {[...Object.keys(PARTS), "Nothing"].map((other) => (
          <button key={other} onClick={() => setName(other)}>
            {other}
          </button>
        ))}
      </nav>
      <Count />
      {Part && <Part />}
    </Session>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <Keystead>
      <Page />
    </Keystead>
  </StrictMode>,
);
