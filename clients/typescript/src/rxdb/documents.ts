/**
 * Between RxDB's documents and drey's: the primary key is the entity's id, one field holds the version, the rest is the value.
 */
import type { RxCollection, WithDeleted } from "rxdb";
import type { Message, Value } from "../api/types.ts";
import { entityOf } from "../pull/apply.ts";

/** Which members of a document are not part of its value. */
export interface Shape {
  primary: string;
  /** Number; what was last read of the server. A new document has none. */
  version: string;
}

export function shapeOf<T>(collection: RxCollection<T>, version: string): Shape {
  const { primaryPath, jsonSchema } = collection.schema;
  if (!(version in jsonSchema.properties)) {
    throw new TypeError(`the schema of ${collection.name} needs the number "${version}" for drey's versions`);
  }
  return { primary: String(primaryPath), version };
}

/** The document without what RxDB and this handler have added. */
export function contentOf<T>(document: WithDeleted<T>, { primary, version }: Shape): Value | null {
  const { [primary]: _id, [version]: _version, _deleted, ...value } = document as Record<string, unknown>;
  for (const name of ["_attachments", "_meta", "_rev"]) delete value[name];
  return _deleted ? null : value;
}

export function idOf<T>(document: T, { primary }: Shape): string {
  return String((document as Record<string, unknown>)[primary]);
}

/** The version that the document was made from; null for a new one. */
export function versionOf<T>(document: T | undefined, { version }: Shape): number | null {
  return Number((document as Record<string, unknown> | undefined)?.[version] ?? 0) || null;
}

export function documentOf<T>(
  id: string,
  version: number,
  value: Value | null | undefined,
  shape: Shape,
): WithDeleted<T> {
  const members = { ...value, [shape.primary]: id, [shape.version]: version };
  return { ...members, _deleted: !value } as unknown as WithDeleted<T>;
}

/** Of those of one entity type, the newest state of each. */
export function documentsOf<T>(messages: Message[], entityType: string, shape: Shape): WithDeleted<T>[] {
  const documents = new Map<string, WithDeleted<T>>();
  for (const message of messages.filter(({ type }) => type === entityType)) {
    const { id } = entityOf(message);
    documents.set(id, documentOf(id, message.headers.version, message.value, shape));
  }
  return [...documents.values()];
}
