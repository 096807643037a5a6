-- migrate:up

-- As before, and 0 for `*` (RFC 9110 section 13.1.1): any version, but one must stand. A PUT that would create is refused.
create or replace function check_version(p_if_match bigint[], p_version bigint) returns void language plpgsql as $$
begin
  if p_if_match is not null and (p_version = any (p_if_match) or (0 = any (p_if_match) and p_version is not null)) is not true then
    perform refuse('DR412', 'precondition-failed', 'The item has changed since that version was read.');
  end if;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
