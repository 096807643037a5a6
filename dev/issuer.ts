/**
 * Issues tokens for development and tests: anybody who can reach it gets any identity, so it listens on loopback only.
 * Out of scope: sign-in, sessions, refresh. The Worker knows it as one more issuer with a JWKS, and has no back door.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { SignJWT } from "jose";
import { type Listening, listen, readJson, send, sendJson } from "./http.ts";
import { ALGORITHMS, type Algorithm, KeyRing } from "./issuer/keys.ts";

/** What the Worker's configuration must name. */
export const AUDIENCE = "drey";

/** An hour is long enough for a session at the terminal, short enough to notice expiry. */
const LIFETIME_S = 3600;

export interface Issuer extends Listening {
  jwksUri: string;
}

interface State {
  keys: KeyRing;
  counters: { jwks: number; tokens: number };
}

export async function startIssuer(port?: number): Promise<Issuer> {
  const state: State = { keys: await KeyRing.create(), counters: { jwks: 0, tokens: 0 } };
  const listening = await listen(async (request, response) => {
    const issuer = `http://${request.headers.host}`;
    await route(state, issuer, request, response);
  }, port);
  return { ...listening, jwksUri: `${listening.url}/.well-known/jwks.json` };
}

async function route(
  state: State,
  issuer: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  switch (`${request.method} ${request.url}`) {
    case "GET /.well-known/jwks.json":
      state.counters.jwks += 1;
      return sendJson(response, 200, { keys: state.keys.published() });
    case "POST /token":
      state.counters.tokens += 1;
      return token(state.keys, issuer, request, response);
    case "POST /rotate":
      return sendJson(response, 200, { kids: await state.keys.rotate(isRetiring(await readJson(request))) });
    case "GET /admin/counters":
      return sendJson(response, 200, state.counters);
    default:
      return sendJson(response, 404, { error: `no route ${request.method} ${request.url}` });
  }
}

function isRetiring(body: unknown): boolean {
  return (body as { retire?: boolean }).retire === true;
}

interface TokenRequest extends Record<string, unknown> {
  alg?: Algorithm;
  kid?: string;
  expires_in?: number;
}

/** Answers JSON, or the bare token to `Accept: text/plain`, so that a shell needs no JSON parser. */
async function token(
  keys: KeyRing,
  issuer: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const {
    alg = "EdDSA",
    kid,
    expires_in = LIFETIME_S,
    ...claims
  } = (await readJson(request)) as TokenRequest;
  if (!ALGORITHMS.includes(alg)) {
    return sendJson(response, 400, { error: `alg must be one of ${ALGORITHMS.join(", ")}` });
  }
  const now = Math.floor(Date.now() / 1000);
  const key = keys.signing(alg);
  const payload = { iss: issuer, aud: AUDIENCE, iat: now, exp: now + expires_in, ...claims };
  const signed = await new SignJWT(payload)
    .setProtectedHeader({ alg, kid: kid ?? key.kid, typ: "JWT" })
    .sign(key.privateKey);
  if (request.headers.accept === "text/plain")
    return send(response, 200, signed, { "content-type": "text/plain" });
  sendJson(response, 200, { access_token: signed, token_type: "Bearer", expires_in });
}
