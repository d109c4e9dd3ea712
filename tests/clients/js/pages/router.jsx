import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Link, Outlet, RouterProvider, createBrowserRouter, useLocation, useSearchParams } from "react-router";

import { Calls, Count, Figures, Keys, Keystead, Session } from "./console.jsx";

function Layout() {
  const [search, setSearch] = useSearchParams();
  const { search: known } = useLocation();
  const sort = () =>
    setSearch((before) => {
      before.set("sort", "name");
      return before;
    });
  return (
    <Session ticket={search.get("ticket")}>
      <nav>
        <Link to={{ pathname: "/router", search: known }}>Keys</Link> <Link to="/router/calls">Calls</Link>{" "}
        <Link to="/router/figures">Figures</Link> <Link to="/router/nothing">Nothing</Link>
      </nav>
      <button onClick={sort}>Sort by name</button>
      <Count />
      <Outlet />
    </Session>
  );
}

const router = createBrowserRouter([
  {
    path: "/router",
    element: (
      <Keystead>
        <Layout />
      </Keystead>
    ),
    children: [
      { index: true, element: <Keys /> },
      { path: "calls", element: <Calls /> },
      { path: "figures", element: <Figures /> },
      { path: "nothing", element: null },
    ],
  },
]);

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <RouterProvider router={router} />
  </StrictMode>,
);
