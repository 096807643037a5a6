/** What the entity tags of single items look like. */

/** The tag of an item at this version, whose body also shows what other rows say (a role, a name). */
export function itemTag(version: number): RegExp {
  return new RegExp(`^"${version}\\.[\\w-]{11}"$`);
}
