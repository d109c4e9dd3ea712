// Stands behind the page's own code, and tries what it defines.
const slug = "aa_acme_node";
const results = {};
results.app = (await provision({ id: "acme_node", name: "Acme" })).app_slug;
results.conflict = await provision({ id: "acme_node", name: "Acme" }).catch((problem) => problem.name);
results.url = await manageKeys({ mayManageKeys: true, customerId: "acme_node", id: "u1", name: "Dana", email: "d@example.com" });
results.refused = await manageKeys({ mayManageKeys: false }).catch((problem) => problem.message);
const made = await apiKeys.createApiKey(slug, { name: "ci", permissions: ["routes:read"] });
const call = (secret) => ({ headers: { authorization: `Bearer ${secret}` }, method: "GET", path: "/v2/routes", ip: "203.0.113.9" });
const until = async (status, ask) => {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = await ask();
    if (found.status === status) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`never ${status}`);
};
results.allowed = (await until(200, () => decide(call(made.secret), "routes:read"))).status;
results.denied = (await decide(call(made.secret), "routes:write")).status;
results.unknown = (await decide(call("nw_live_nothing"), "routes:read")).status;
const replaced = await replace(slug, made.id);
results.isNew = replaced.id !== made.id && replaced.secret.startsWith("nw_live_");
await until(200, () => decide(call(replaced.secret), "routes:read"));
await end(slug, replaced.id);
results.revoked = (await until(401, () => decide(call(replaced.secret), "routes:read"))).status;
results.withToken = (await gateway.checkAuthz(
  { principal: { type: "api_key", value: (await apiKeys.createApiKey(slug, { name: "second" })).secret }, method: "GET", resource: "/" },
  GATEWAY_WITH_TOKEN,
).catch((problem) => problem)).constructor.name;
GATEWAY.gatewayUrl = "http://127.0.0.1:9";
results.away = (await decide(call(made.secret), "routes:read")).status;
console.log(JSON.stringify(results));
