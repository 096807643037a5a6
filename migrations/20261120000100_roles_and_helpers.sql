-- migrate:up

-- The Worker's role. The stack or the operator creates it first, with LOGIN and a password; a bare database gets
-- it without either, so that the grants below always have somebody to name.
do $$
begin
  if not exists (select 1 from pg_roles where rolname = 'drey_app') then
    create role drey_app nologin nobypassrls;
  end if;
  -- Owner of the few functions that look something up before there is a tenant. Nobody can log in as it.
  if not exists (select 1 from pg_roles where rolname = 'drey_definer') then
    create role drey_definer nologin bypassrls;
  end if;
  -- A function can be given away only to a role one is a member of.
  if not (select rolsuper from pg_roles where rolname = current_user) then
    execute format('grant drey_definer to %I', current_user);
  end if;
end $$;

-- The new owner of a function needs CREATE on its schema; nobody can log in as drey_definer to misuse it.
grant usage, create on schema public to drey_definer;
grant usage on schema public to drey_app;

-- dbmate makes this table before the first migration; /readyz reads it.
do $$
begin
  if to_regclass('public.schema_migrations') is not null then
    grant select on schema_migrations to drey_app;
  end if;
end $$;

-- Backstops behind the deadline that every batch sets for itself.
alter role drey_app set statement_timeout = '15s';
alter role drey_app set lock_timeout = '5s';

-- Who calls, and for which tenant: set locally by the first statement of every batch. nullif, because a local
-- setting reads as '' and not as NULL on a connection that has had one before.
create function app_user() returns uuid language sql stable parallel safe
as $$ select nullif(current_setting('app.user_id', true), '')::uuid $$;

create function app_org() returns uuid language sql stable parallel safe
as $$ select nullif(current_setting('app.org_id', true), '')::uuid $$;

create function app_workspace() returns uuid language sql stable parallel safe
as $$ select nullif(current_setting('app.workspace_id', true), '')::uuid $$;

-- UUIDv7 for rows that only Postgres can name (audit events): milliseconds, then random bits. Postgres has its
-- own from 18 on.
create function uuid_v7() returns uuid language sql volatile
as $$
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
        placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
        from 1 for 6),
      52, 1), 53, 1),
    'hex')::uuid
$$;

-- The uuid of a TypeID text (prefix, '_', 26 characters of base32), or NULL if the text is not one.
create function typeid_uuid(p_prefix text, p_id text) returns uuid language sql immutable strict parallel safe
as $$
  select string_agg(to_hex(substr(b.bits, 3 + 4 * n, 4)::bit(4)::int), '' order by n)::uuid
  from (
    select string_agg((strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(p_id, length(p_prefix) + 1 + k, 1)) - 1)::bit(5)::text,
                      '' order by k) as bits
    from generate_series(1, 26) k
    where p_id ~ ('^' || p_prefix || '_[0-7][0-9a-hjkmnp-tv-z]{25}$')
  ) b, generate_series(0, 31) n
  where b.bits is not null
$$;

-- Ends the transaction with the caller's fault: the class (DR + HTTP family), the stable code, a clear sentence.
create function refuse(p_class text, p_code text, p_message text, p_detail text default '') returns void
language plpgsql as $$
begin
  raise exception using errcode = p_class, constraint = p_code, message = p_message, detail = p_detail;
end $$;

-- 412 unless the caller named no versions, or among others the one that stands. No version stands where there is no item.
create function check_version(p_if_match bigint[], p_version bigint) returns void language plpgsql as $$
begin
  if p_if_match is not null and p_version = any (p_if_match) is not true then
    perform refuse('DR412', 'precondition-failed', 'The item has changed since that version was read.');
  end if;
end $$;

create function org_rank(p_role text) returns int language sql immutable parallel safe
as $$ select case p_role when 'member' then 1 when 'admin' then 2 when 'owner' then 3 else 0 end $$;

create function workspace_rank(p_role text) returns int language sql immutable parallel safe
as $$ select case p_role when 'viewer' then 1 when 'editor' then 2 when 'admin' then 3 else 0 end $$;

-- What a write without an item answers.
create type write_done as (replayed boolean, revision bigint, authz_epoch bigint);

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
