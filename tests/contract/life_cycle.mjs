// The published client, unmodified, through a whole life cycle. Facts come as JSON on stdin; every step is a line of JSON on stdout.
import fs from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import * as wacht from '@wacht/backend';

const facts = JSON.parse(fs.readFileSync(0, 'utf8'));
wacht.initClient({ apiKey: facts.backend_key, baseUrl: facts.web_url, gatewayUrl: facts.gateway_url });
const client = wacht.getClient();
const api = wacht.apiKeys;
const slug = 'aa_contract';
const scheme = 'contract';

const report = (step, ok, detail = '') => console.log(JSON.stringify({ step, ok: Boolean(ok), detail: String(detail) }));

async function works(step, act, holds = () => true) {
  try {
    const answer = await act();
    const ok = holds(answer);
    report(step, ok, ok ? '' : 'not the answer that was expected');
    return answer;
  } catch (error) {
    report(step, false, `${error.name} ${error.statusCode}: ${error.message}`);
    return undefined;
  }
}

async function refused(step, name, statusCode, act) {
  try {
    await act();
    report(step, false, 'was not refused');
  } catch (error) {
    const ok = error.name === name && error.statusCode === statusCode && !/^(An error occurred|Cannot read)/.test(error.message);
    report(step, ok, `${error.name} ${error.statusCode}: ${error.message}`);
  }
}

async function until(ask, isThere) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (isThere(answer) || Date.now() > deadline) return answer;
    await pause(100);
  }
}

const check = (value, required_permissions = ['read:x']) =>
  wacht.gateway.checkAuthz(
    { principal: { type: 'api_key', value }, resource: '/v1/a?x=1', method: 'GET', required_permissions },
    { gatewayUrl: facts.gateway_url },
  );
const refusal = (value) => check(value).then(() => null, (error) => error.name);

await works('health', () => client.health.healthCheck());

const rules = [{ unit: 'minute', duration: 1, max_requests: 60, mode: 'per_key' }];
await works('make a scheme', () => api.createRateLimitScheme({ slug: scheme, name: 'Basic', rules }), (made) => made.slug === scheme);
await refused('the same scheme again', 'ConflictError', 409, () => api.createRateLimitScheme({ slug: scheme, name: 'Basic', rules }));
await works('list schemes', () => api.listRateLimitSchemes(), (found) => found.some((one) => one.slug === scheme));
await works('read a scheme', () => api.getRateLimitScheme(scheme), (found) => found.rules[0].max_requests === 60);
await works('change a scheme', () => api.updateRateLimitScheme(scheme, { name: 'Better' }), (found) => found.name === 'Better');

const fields = { app_slug: slug, name: 'Orbit', key_prefix: 'orb_live' };
await works('make an app', () => api.createApiAuthApp({ ...fields, permissions: ['read:x'], rate_limit_scheme_slug: scheme }));
await refused('the same app again', 'ConflictError', 409, () => api.createApiAuthApp(fields));
await refused('an app with a bad slug', 'ValidationError', 400, () => api.createApiAuthApp({ ...fields, app_slug: 'A B' }));
await works('list apps', () => api.listApiAuthApps(), (found) => Array.isArray(found) && found.some((one) => one.app_slug === slug));
await works('list inactive apps too', () => api.listApiAuthApps({ include_inactive: true }), Array.isArray);
await works('change an app', () => api.updateApiAuthApp(slug, { description: 'x' }), (found) => found.description === 'x');
await works('read an app', () => api.getApiAuthApp(slug), (found) => found.rate_limit_scheme_slug === scheme);
await refused('an app that is not there', 'NotFoundError', 404, () => api.getApiAuthApp('none'));

const made = await works(
  'make a key',
  () => api.createApiKey(slug, { name: 'ci', permissions: ['read:x'], metadata: { team: 'blue' } }),
  (key) => key.secret.startsWith('orb_live_') && key.key.id === key.id,
);
await until(() => refusal(made.secret), (name) => name === null);
await works('a call is allowed', () => check(made.secret), (answer) => answer.allowed && answer.metadata.team === 'blue');
await works('a call lacks a permission', () => check(made.secret, ['write:x']), (answer) => answer.allowed === false);
await refused('a call with a strange key', 'AuthenticationError', 401, () => check('orb_live_strange'));
await works('list keys', () => api.listApiKeys(slug), (found) => found.length === 1 && !('secret' in found[0]));
const rotated = await works('rotate a key', () => api.rotateApiKey(slug, made.key.id), (key) => key.key.id !== made.key.id);
await refused('rotate the old key again', 'NotFoundError', 404, () => api.rotateApiKey(slug, made.key.id));
await works('revoke a key', () => api.revokeApiKey(slug, rotated.key.id, { reason: 'leaked' }));
await refused('revoke it again', 'NotFoundError', 404, () => api.revokeApiKey(slug, rotated.key.id, {}));
await works('a revoked key is refused', () => until(() => refusal(rotated.secret), (name) => name !== null), (name) => name === 'AuthenticationError');
const bound = await works('make another key', () => api.createApiKey(slug, { name: 'bound' }));
await works('revoke by the bound method, which posts the whole client', () => client.apiKeys.revokeApiKey(slug, bound.id));
await works('list ended keys too', () => api.listApiKeys(slug, { include_inactive: true }), (found) => found.length === 3 && found.every((key) => !key.is_active));

const ticket = { ticket_type: 'api_auth_access', api_auth_app_slug: slug };
await works('issue a ticket', () => wacht.sessions.createSessionTicket({ ...ticket, expires_in: 120 }), (issued) => typeof issued.expires_at === 'number');
await refused('a ticket for no app', 'NotFoundError', 404, () => wacht.sessions.createSessionTicket({ ...ticket, api_auth_app_slug: 'none' }));
await refused('a ticket for too long', 'WachtError', 422, () => wacht.sessions.createSessionTicket({ ...ticket, expires_in: 43200 }));

await works(
  'read the log',
  () => until(() => api.getApiAuditLogs(slug, { limit: 50 }), (page) => page.data.some((row) => /revok/.test(row.blocked_by_rule ?? ''))),
  (page) => page.data.some((row) => row.outcome === 'allowed') && page.data.some((row) => /revok/.test(row.blocked_by_rule ?? '')),
);
const all = { include_top_keys: true, include_top_paths: true, include_blocked_reasons: true, include_rate_limits: true, top_limit: 5 };
await works('read totals', () => api.getApiAuditAnalytics(slug, all), (found) => found.total_requests >= 2 && found.top_keys.length > 0);
await works('read counts over time', () => api.getApiAuditTimeseries(slug, { interval: 'hour' }), (found) => found.interval === 'hour' && found.data.length > 0);
await refused('a log since no date', 'ValidationError', 400, () => api.getApiAuditLogs(slug, { start_date: 'x' }));

await refused('delete a scheme in use', 'ValidationError', 400, () => api.deleteRateLimitScheme(scheme));
await works('take the scheme off the app', () => api.updateApiAuthApp(slug, { rate_limit_scheme_slug: null }));
await works('delete a scheme', () => api.deleteRateLimitScheme(scheme));
await works('delete an app', () => api.deleteApiAuthApp(slug));
await refused('an app that is gone', 'NotFoundError', 404, () => api.getApiAuthApp(slug));

const stranger = new wacht.WachtClient({ apiKey: 'ksb_wrong', baseUrl: facts.web_url });
await refused('a wrong backend key', 'AuthenticationError', 401, () => api.listApiAuthApps({}, stranger));
await refused('an address that is not there', 'NotFoundError', 404, () => wacht.users.getUser('1'));
report('the end', true);
