-- migrate:up

-- Which API key calls, and the one project it is restricted to: set like app.user_id, '' for a person. A key acts as
-- its creator (app.user_id), so every check of a role stands as it was.
create function app_key() returns uuid language sql stable parallel safe
as $$ select nullif(current_setting('app.key_id', true), '')::uuid $$;

create function app_project() returns uuid language sql stable parallel safe
as $$ select nullif(current_setting('app.project_id', true), '')::uuid $$;

-- The TypeID text of a uuid, for the audit: what typeid_uuid reads back.
create function typeid_text(p_prefix text, p_id uuid) returns text language sql immutable strict parallel safe
as $$
  select p_prefix || '_' || string_agg(
           substr('0123456789abcdefghjkmnpqrstvwxyz', substr(b.bits, 1 + 5 * n, 5)::bit(5)::int + 1, 1), '' order by n)
  from (select '00' || string_agg(get_byte(uuid_send(p_id), k)::bit(8)::text, '' order by k) as bits
        from generate_series(0, 15) k) b, generate_series(0, 25) n
$$;

create table api_key (
  workspace_id      uuid        not null,
  key_id            uuid        not null,
  org_id            uuid        not null,
  name              text        not null constraint api_key_name_check check (length(name) between 1 and 100),
  -- SHA-256 of the whole key: the key itself is nowhere.
  key_digest        bytea       not null constraint api_key_digest_check check (octet_length(key_digest) = 32),
  scopes            text[]      not null constraint api_key_scopes_check
                    check (cardinality(scopes) > 0 and scopes <@ array['read', 'write', 'sync', 'presence', 'admin']),
  -- NULL: the whole workspace.
  project_id        uuid,
  -- Ranges of addresses; none: from anywhere.
  allowed_addresses text[]      not null default '{}' constraint api_key_addresses_check check (cardinality(allowed_addresses) <= 20),
  created_by        uuid        not null,
  expires_at        timestamptz,
  last_used_at      timestamptz,
  created_at        timestamptz not null default now(),
  constraint api_key_pkey primary key (workspace_id, key_id),
  constraint api_key_workspace_fkey foreign key (org_id, workspace_id)
    references workspace (org_id, workspace_id) on delete cascade,
  constraint api_key_project_fkey foreign key (workspace_id, project_id) references project on delete cascade,
  -- Who leaves the organisation takes his keys with him; who comes back finds none.
  constraint api_key_creator_fkey foreign key (org_id, created_by) references org_member on delete cascade
);
-- Serves: the keys of a workspace, newest first.
create index api_key_list_idx on api_key (workspace_id, created_at desc, key_id desc);
-- Serves: api_key_find, which knows nothing but the digest. Not unique: a unique key begins with its tenant.
create index api_key_digest_idx on api_key (key_digest);
-- Serves: the cascade from a deleted project.
create index api_key_project_idx on api_key (workspace_id, project_id) where project_id is not null;
-- Serves: the end of a creator's keys with his membership.
create index api_key_creator_idx on api_key (org_id, created_by);

grant select, insert, update, delete on api_key to drey_app;
grant select on api_key to drey_definer;

alter table api_key enable row level security, force row level security;
-- The organisation as well, because leaving it ends keys in all its workspaces.
create policy api_key_tenant on api_key
  using (workspace_id = app_workspace() or org_id = app_org())
  with check (workspace_id = app_workspace() or org_id = app_org());

-- A key that is restricted to a project sees no other, whatever statement asks. Restrictive: it narrows the tenant's own policy.
create policy project_restricted on project as restrictive
  using (app_project() is null or project_id = app_project())
  with check (app_project() is null or project_id = app_project());
create policy sync_scope_restricted on sync_scope as restrictive
  using (app_project() is null or project_id = app_project())
  with check (app_project() is null or project_id = app_project());

-- As before, and to a key that is restricted to a project no other kind of scope exists.
create or replace function sync_thing_exists(p_workspace uuid, p_type text, p_id text) returns boolean language sql stable as $$
  select (app_project() is null or p_type = 'project') and case p_type
    when 'workspace' then coalesce(typeid_uuid('ws', p_id) = p_workspace, false)
    when 'project' then exists (select 1 from project p where p.workspace_id = p_workspace and p.project_id = typeid_uuid('prj', p_id))
    when 'user' then coalesce(typeid_uuid('user', p_id) = app_user(), false)
    when 'collection' then exists (select 1 from collection c where c.workspace_id = p_workspace and c.collection_id = p_id)
    when 'environment' then exists (select 1 from environment e where e.workspace_id = p_workspace and e.environment_id = p_id)
    else false end
$$;

-- Whether the calling key is one of the workspace, of this caller, and not over. True for a person.
create function app_key_holds(p_workspace uuid) returns boolean language sql stable as $$
  select app_key() is null or exists (
    select 1 from api_key k where k.workspace_id = p_workspace and k.key_id = app_key() and k.created_by = app_user()
      and k.project_id is not distinct from app_project() and (k.expires_at is null or k.expires_at > now()))
$$;

-- As before; a key that does not hold has no role, so that no read finds anything for it.
create or replace function workspace_role(p_workspace uuid) returns text language sql stable
as $$
  select case when o.role in ('owner', 'admin') then 'admin' else m.role end
  from workspace w
  join org_member o on o.org_id = w.org_id and o.user_id = app_user()
  left join workspace_member m on m.workspace_id = w.workspace_id and m.user_id = app_user()
  where w.workspace_id = p_workspace and app_key_holds(p_workspace)
$$;

-- As before, with the words of a key that does not hold: a write is refused from the commit of the revocation on.
create or replace function require_workspace_role(p_workspace uuid, p_needed text) returns text language plpgsql stable as $$
declare
  caller_role text := workspace_role(p_workspace);
begin
  if not app_key_holds(p_workspace) then
    perform refuse('DR401', 'invalid-token', 'The API key was revoked or has expired.');
  elsif caller_role is null then
    perform refuse('DR404', 'not-found', 'There is no such workspace.');
  elsif workspace_rank(caller_role) < workspace_rank(p_needed) then
    perform refuse('DR403', 'forbidden', format('This needs the role %s in the workspace.', p_needed));
  end if;
  return caller_role;
end $$;

-- As before; an event that a key caused names the key beside the person it acts as.
create or replace function audit(p_request text, p_action text, p_org uuid, p_workspace uuid,
                                 p_target_type text, p_target_id uuid, p_detail jsonb default '{}') returns void
language sql as $$
  insert into audit_event (org_id, workspace_id, actor_id, action, target_type, target_id, detail, request_id)
  values (p_org, p_workspace, app_user(), p_action, p_target_type, p_target_id,
          case when app_key() is null then p_detail
               else p_detail || jsonb_build_object('api_key', typeid_text('key', app_key())) end, p_request)
$$;

-- Who is taken out of a workspace takes his keys with him, unless the organisation makes him an admin of it anyway.
create function api_key_end_with_member() returns trigger language plpgsql as $$
begin
  delete from api_key k
  where k.workspace_id = old.workspace_id and k.created_by = old.user_id
    and not exists (select 1 from org_member o
                    where o.org_id = old.org_id and o.user_id = old.user_id and o.role in ('owner', 'admin'));
  return null;
end $$;
create trigger api_key_end_with_member after delete on workspace_member
  for each row execute function api_key_end_with_member();

-- The key with exactly this digest, ended or not, and the epoch it was seen at. SECURITY DEFINER, because a key comes
-- before its tenant is known.
create function api_key_find(p_digest bytea)
returns table (key_id uuid, workspace_id uuid, created_by uuid, name text, scopes text, project_id uuid,
               allowed_addresses text, expires_at timestamptz, authz_epoch bigint)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select k.key_id, k.workspace_id, k.created_by, k.name, array_to_string(k.scopes, ','), k.project_id,
         array_to_string(k.allowed_addresses, ','), k.expires_at, w.authz_epoch + o.authz_epoch
  from api_key k
  join workspace w on w.workspace_id = k.workspace_id
  join org o on o.org_id = k.org_id
  where k.key_digest = p_digest
$$;
alter function api_key_find owner to drey_definer;
revoke execute on function api_key_find from public;
grant execute on function api_key_find to drey_app;

-- `seed` is what the key is made from together with a secret that Postgres never sees: it is kept with the answer of an
-- idempotent create, so that a replay shows the same key, and nowhere else.
create type api_key_written as (
  replayed boolean, revision bigint, authz_epoch bigint,
  key_id uuid, workspace_id uuid, name text, scopes text[], project_id uuid, allowed_addresses text[], created_by uuid,
  expires_at timestamptz, last_used_at timestamptz, created_at timestamptz, seed bytea);

create function api_key_answer(p_api_key api_key, p_seed bytea, p_revision bigint, p_authz_epoch bigint) returns api_key_written
language sql immutable as $$
  select row(false, p_revision, p_authz_epoch, p_api_key.key_id, p_api_key.workspace_id, p_api_key.name, p_api_key.scopes,
             p_api_key.project_id, p_api_key.allowed_addresses, p_api_key.created_by, p_api_key.expires_at,
             p_api_key.last_used_at, p_api_key.created_at, p_seed)::api_key_written
$$;

-- The answer that this key, or this very request, was given before; NULL to go on.
create function api_key_before(p_stored jsonb, p_workspace uuid, p_api_key uuid, p_seed bytea) returns api_key_written
language plpgsql as $$
declare
  answer api_key_written;
  k api_key;
  known record;
begin
  if p_stored is not null then
    answer := jsonb_populate_record(null::api_key_written, p_stored);
    answer.replayed := answer.key_id <> p_api_key;
    return answer;
  end if;
  -- The Worker mints an id a request: its own id back is its own retry of a lost commit.
  select * into k from api_key where workspace_id = p_workspace and key_id = p_api_key and created_by = app_user();
  if not found then
    return null;
  end if;
  known := workspace_now(p_workspace);
  return api_key_answer(k, p_seed, known.revision, known.authz_epoch);
end $$;

-- 409 above what a list can sensibly hold. The caller holds the workspace's row.
create function check_api_key_count(p_workspace uuid) returns void language plpgsql as $$
begin
  if exists (select 1 from api_key where workspace_id = p_workspace offset 999 limit 1) then
    perform refuse('DR409', 'conflict', 'The workspace has 1,000 API keys: revoke some that are not needed.');
  end if;
end $$;

create function api_key_create(p_method text, p_route text, p_key text, p_fingerprint bytea, p_request text,
                               p_workspace uuid, p_api_key uuid, p_name text, p_digest bytea, p_seed bytea, p_scopes text,
                               p_project uuid, p_addresses text, p_expires_at timestamptz) returns api_key_written
language plpgsql as $$
declare
  stored jsonb := idempotency_begin(p_method, p_route, p_key, p_fingerprint);
  w workspace := lock_workspace_only(p_workspace);
  caller_role text := require_workspace_role(p_workspace, 'admin');
  answer api_key_written := api_key_before(stored, p_workspace, p_api_key, p_seed);
  k api_key;
  bumped record;
begin
  if answer.key_id is not null then
    return answer;
  end if;
  perform check_api_key_count(p_workspace);
  if p_project is not null then
    perform find_project(p_workspace, p_project);
  end if;
  if p_expires_at <= now() then
    perform refuse('DR400', 'invalid-body', 'expires_at must lie in the future.');
  end if;
  insert into api_key (workspace_id, key_id, org_id, name, key_digest, scopes, project_id, allowed_addresses, created_by, expires_at)
  values (p_workspace, p_api_key, w.org_id, p_name, p_digest, string_to_array(p_scopes, ','), p_project,
          string_to_array(p_addresses, ','), app_user(), p_expires_at)
  returning * into k;
  perform audit(p_request, 'api_key.created', w.org_id, p_workspace, 'api_key', p_api_key,
                jsonb_strip_nulls(jsonb_build_object('name', p_name, 'scopes', to_jsonb(k.scopes),
                                                     'project', typeid_text('prj', p_project), 'expires_at', k.expires_at)));
  bumped := bump_workspace(p_workspace, false);
  answer := api_key_answer(k, p_seed, bumped.revision, bumped.authz_epoch);
  perform idempotency_end(p_method, p_route, p_key, p_fingerprint, to_jsonb(answer));
  return answer;
end $$;

create function find_api_key(p_workspace uuid, p_api_key uuid) returns api_key language plpgsql as $$
declare
  k api_key;
begin
  select * into k from api_key where workspace_id = p_workspace and key_id = p_api_key for update;
  if not found then
    perform refuse('DR404', 'not-found', 'There is no such API key.');
  end if;
  return k;
end $$;

-- A new key with what the old one may do; both work until the old one's overlap is over. It acts as who rotates it: nobody
-- comes to act as a colleague. Without an end of its own it lives as long as the old one was meant to.
create function api_key_rotate(p_method text, p_route text, p_key text, p_fingerprint bytea, p_request text,
                               p_workspace uuid, p_former uuid, p_api_key uuid, p_digest bytea, p_seed bytea,
                               p_overlap_seconds int, p_expires_at timestamptz) returns api_key_written
language plpgsql as $$
declare
  stored jsonb := idempotency_begin(p_method, p_route, p_key, p_fingerprint);
  w workspace := lock_workspace_only(p_workspace);
  caller_role text := require_workspace_role(p_workspace, 'admin');
  answer api_key_written := api_key_before(stored, p_workspace, p_api_key, p_seed);
  former api_key;
  k api_key;
  bumped record;
begin
  if answer.key_id is not null then
    return answer;
  end if;
  perform check_api_key_count(p_workspace);
  former := find_api_key(p_workspace, p_former);
  if former.expires_at <= now() then
    perform refuse('DR409', 'conflict', 'The API key has ended: create another.');
  end if;
  if p_expires_at <= now() then
    perform refuse('DR400', 'invalid-body', 'expires_at must lie in the future.');
  end if;
  insert into api_key (workspace_id, key_id, org_id, name, key_digest, scopes, project_id, allowed_addresses, created_by, expires_at)
  values (p_workspace, p_api_key, w.org_id, former.name, p_digest, former.scopes, former.project_id, former.allowed_addresses,
          app_user(), coalesce(p_expires_at, now() + (former.expires_at - former.created_at)))
  returning * into k;
  update api_key set expires_at = least(expires_at, now() + make_interval(secs => p_overlap_seconds))
  where workspace_id = p_workspace and key_id = p_former;
  perform audit(p_request, 'api_key.rotated', w.org_id, p_workspace, 'api_key', p_former,
                jsonb_build_object('to', typeid_text('key', p_api_key), 'overlap_seconds', p_overlap_seconds));
  -- The old key's end has come nearer: whoever remembers it has to look again.
  bumped := bump_workspace(p_workspace, true);
  answer := api_key_answer(k, p_seed, bumped.revision, bumped.authz_epoch);
  perform idempotency_end(p_method, p_route, p_key, p_fingerprint, to_jsonb(answer));
  return answer;
end $$;

-- Answers also as whom the key acted: his sockets in the room may be the key's.
create type api_key_revoked as (replayed boolean, revision bigint, authz_epoch bigint, created_by uuid);

create function api_key_revoke(p_request text, p_workspace uuid, p_api_key uuid) returns api_key_revoked language plpgsql as $$
declare
  w workspace := lock_workspace_only(p_workspace);
  caller_role text := require_workspace_role(p_workspace, 'admin');
  k api_key := find_api_key(p_workspace, p_api_key);
  bumped record;
begin
  delete from api_key where workspace_id = p_workspace and key_id = p_api_key;
  perform audit(p_request, 'api_key.revoked', w.org_id, p_workspace, 'api_key', p_api_key, jsonb_build_object('name', k.name));
  bumped := bump_workspace(p_workspace, true);
  return row(false, bumped.revision, bumped.authz_epoch, k.created_by)::api_key_revoked;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
