/**
 * What the global set-up tells the tests: addresses only, because they travel between processes.
 */

/** One set of Workers. */
export interface Cell {
  apis: string[];
  /** Takes `POST /evict`, `POST /search`, `GET /logs` and `DELETE`. */
  cell: string;
}

/** Without Workers (`apis` and `cell` empty) in the projects that need none. */
export interface World extends Cell {
  /** Takes `POST /cells` and `POST /databases`. */
  control: string;
  issuer: string;
  neonUrl: string;
  neonConnection: string;
  neonAdmin: string;
  redisUrl: string;
  redisToken: string;
  redisAdmin: string;
  databaseUrl: string;
  appDatabaseUrl: string;
  operatorToken: string;
}

declare module "vitest" {
  interface ProvidedContext {
    world: World;
  }
}
