// Calls of the service that this page came from, and of no other.

const ROOT = new URL('..', import.meta.url);

/** An answer that is none. */
export class Refused extends Error {
  constructor(reply, body) {
    super(body.error ?? `The service answered ${reply.status}`);
    this.status = reply.status;
    this.body = body;
    // Whose token is wanted: the service has one realm for each.
    const realm = reply.headers.get('www-authenticate') ?? '';
    this.wants = reply.status !== 401 ? undefined : realm.includes('administration') ? 'admin' : 'key';
  }
}

/**
 * The reply to a request, once its head is there.
 *
 * Rejects with `Refused` when it is no answer, and as `fetch` does when there is none.
 */
export async function call(path, { token, headers, ...init } = {}) {
  const sent = new Headers(headers);
  if (token) sent.set('authorization', `Bearer ${token}`);
  // Without cookies: who has a session there did not come here to use it. And with the usual `cache`: others make the browser send
  // a `Cache-Control`, which this service heeds.
  const reply = await fetch(new URL(path, ROOT), { ...init, headers: sent, credentials: 'omit' });
  if (reply.ok) return reply;
  throw new Refused(reply, await reply.json().catch(() => ({})));
}
