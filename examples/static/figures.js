/** How much the keys are used: thirty days in three numbers and a picture. */
import { useApiAuthAuditAnalytics, useApiAuthAuditTimeseries } from "@keystead/client/react";

import { Problem, count, h } from "./words.js";

const DAYS = 30;
const DAY_MS = 86_400_000;
const HEIGHT = 40;
const EACH = 10;

export function Figures() {
  const { analytics, error, loading } = useApiAuthAuditAnalytics();
  const { timeseries } = useApiAuthAuditTimeseries({ interval: "day" });
  return h(
    "section",
    { "aria-labelledby": "figures", "aria-busy": loading },
    h("div", { className: "head" }, h("h2", { id: "figures" }, `Last ${DAYS} days`)),
    h(Problem, { error }),
    analytics &&
      h(
        "dl",
        { className: "figures" },
        h(Figure, { name: "Calls", value: count(analytics.total_requests) }),
        h(Figure, { name: "Allowed", value: `${count(analytics.success_rate)} %` }),
        h(Figure, { name: "Keys in use", value: count(analytics.keys_used_24h) }),
      ),
    h(Bars, { points: timeseries }),
  );
}

function Figure({ name, value }) {
  return h("div", null, h("dt", null, name), h("dd", null, value));
}

function Bars({ points }) {
  const days = everyDay(points);
  const most = Math.max(1, ...days.map((day) => day.allowed + day.blocked));
  const high = (calls) => (calls ? Math.max(1, (calls / most) * HEIGHT) : 0);
  const bars = days.flatMap(({ allowed, blocked }, index) => {
    const at = { x: index * EACH + 1, width: EACH - 2 };
    const below = high(allowed);
    const above = high(blocked);
    return [
      h("rect", { key: `a${index}`, className: "allowed", ...at, y: HEIGHT - below, height: below }),
      h("rect", { key: `b${index}`, className: "blocked", ...at, y: HEIGHT - below - above, height: above }),
    ];
  });
  const label = `Calls by day, ${count(most)} on the busiest`;
  return h(
    "svg",
    { viewBox: `0 -2 ${DAYS * EACH} ${HEIGHT + 3}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    h("path", { className: "base", d: `M0 ${HEIGHT + 0.5}H${DAYS * EACH}` }),
    bars,
  );
}

/** The answer holds the days with calls alone: fill in the others. */
function everyDay(points) {
  const known = new Map(points.map((point) => [point.timestamp.slice(0, 10), point]));
  return Array.from({ length: DAYS }, (_, index) => {
    const day = new Date(Date.now() - (DAYS - 1 - index) * DAY_MS).toISOString().slice(0, 10);
    const point = known.get(day);
    return { allowed: point?.allowed_requests ?? 0, blocked: point?.blocked_requests ?? 0 };
  });
}
