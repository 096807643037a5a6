/**
 * What the terminal shows when the stack is up: where everything is, and a first request that works when pasted.
 */
import type { Stack } from "../stack.ts";

export function ready({ addresses, redisEngine }: Stack, milliseconds: number): string {
  const { api, issuer, postgres, neon, redis } = addresses;
  const identity = `{"sub":"ada","email":"ada@example.com","name":"Ada"}`;
  return `
  drey is ready after ${(milliseconds / 1000).toFixed(1)} s

    API        ${api}
    tokens     ${issuer}  (development only)
    Postgres   ${postgres}
    Neon HTTP  ${neon}
    Redis      ${redis}  (${redisEngine})

  A first request:

    TOKEN=$(curl -s ${issuer}/token -H 'accept: text/plain' -d '${identity}')
    curl -s ${api}/v1/me -H "authorization: Bearer $TOKEN"

  All addresses are in .drey/dev.json. Ctrl-C stops everything.
`;
}
