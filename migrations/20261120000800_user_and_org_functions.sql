-- migrate:up

-- One function a write. Each re-checks the caller's role itself, takes its locks in the fixed order, writes the
-- audit event, and bumps the revision as its last statement.

-- The user an issuer's subject is, made at first sight. Writes only what has changed; a token without e-mail or
-- name leaves what is known. SECURITY DEFINER, because there is no tenant yet: it matches (issuer, subject) exactly.
create function user_seen(p_issuer text, p_subject text, p_email text, p_name text, p_new_id uuid) returns uuid
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  known user_account;
begin
  select * into known from user_account u where u.issuer = p_issuer and u.subject = p_subject;
  if found and known.email is not distinct from coalesce(p_email, known.email)
           and known.name is not distinct from coalesce(p_name, known.name) then
    return known.user_id;
  end if;
  insert into user_account as u (user_id, issuer, subject, email, name)
  values (p_new_id, p_issuer, p_subject, p_email, p_name)
  on conflict on constraint user_account_subject_key
  do update set email = coalesce(excluded.email, u.email), name = coalesce(excluded.name, u.name)
  returning * into known;
  return known.user_id;
end $$;
alter function user_seen owner to drey_definer;
revoke execute on function user_seen from public;
grant execute on function user_seen to drey_app;

create type org_written as (
  replayed boolean, revision bigint, authz_epoch bigint,
  org_id uuid, name text, plan text, region text, role text, version bigint, created_at timestamptz, updated_at timestamptz);

create function org_answer(p_org org, p_role text, p_revision bigint, p_authz_epoch bigint) returns org_written
language sql immutable as $$
  select row(false, p_revision, p_authz_epoch, p_org.org_id, p_org.name, p_org.plan, p_org.region, p_role,
             p_org.version, p_org.created_at, p_org.updated_at)::org_written
$$;

create function org_create(p_method text, p_route text, p_key text, p_fingerprint bytea, p_request text,
                           p_org uuid, p_name text, p_region text) returns org_written language plpgsql as $$
declare
  stored jsonb := idempotency_begin(p_method, p_route, p_key, p_fingerprint);
  answer org_written;
  o org;
begin
  if stored is not null then
    answer := jsonb_populate_record(null::org_written, stored);
    -- The Worker mints an id a request: its own id back is its own retry of a lost commit, no replay.
    answer.replayed := answer.org_id <> p_org;
    return answer;
  end if;
  insert into org (org_id, name, region, created_by) values (p_org, p_name, p_region, app_user())
  on conflict on constraint org_pkey do nothing returning * into o;
  if not found then
    select * into o from org where org_id = p_org and created_by = app_user();
    if not found then
      perform refuse('DR409', 'conflict', 'This id is taken.');
    end if;
    return org_answer(o, 'owner', o.revision, o.authz_epoch);
  end if;
  insert into org_member (org_id, user_id, role, org_created_at) values (p_org, app_user(), 'owner', o.created_at);
  perform audit(p_request, 'org.created', p_org, null, 'org', p_org);
  perform audit(p_request, 'org_member.added', p_org, null, 'user', app_user(), jsonb_build_object('role', 'owner'));
  answer := org_answer(o, 'owner', o.revision, o.authz_epoch);
  perform idempotency_end(p_method, p_route, p_key, p_fingerprint, to_jsonb(answer));
  return answer;
end $$;

create function org_update(p_request text, p_if_match bigint[], p_org uuid, p_name text) returns org_written
language plpgsql as $$
declare
  o org := lock_org(p_org);
  caller_role text := require_org_role(p_org, 'admin');
  bumped record;
begin
  perform check_version(p_if_match, o.version);
  if o.name = coalesce(p_name, o.name) then
    return org_answer(o, caller_role, o.revision, o.authz_epoch);
  end if;
  update org set name = p_name, version = version + 1, updated_at = now() where org_id = p_org returning * into o;
  perform audit(p_request, 'org.updated', p_org, null, 'org', p_org, jsonb_build_object('fields', jsonb_build_array('name')));
  bumped := bump_org(p_org, false);
  return org_answer(o, caller_role, bumped.revision, bumped.authz_epoch);
end $$;

create function org_set_plan(p_request text, p_if_match bigint[], p_org uuid, p_plan text) returns org_written
language plpgsql as $$
declare
  o org := lock_org(p_org);
  caller_role text := require_org_role(p_org, 'owner');
  former text := o.plan;
  bumped record;
begin
  perform check_version(p_if_match, o.version);
  if o.plan = p_plan then
    return org_answer(o, caller_role, o.revision, o.authz_epoch);
  end if;
  update org set plan = p_plan, version = version + 1, updated_at = now() where org_id = p_org returning * into o;
  perform audit(p_request, 'org.plan_changed', p_org, null, 'org', p_org, jsonb_build_object('from', former, 'to', p_plan));
  bumped := bump_org(p_org, false);
  return org_answer(o, caller_role, bumped.revision, bumped.authz_epoch);
end $$;

-- The gates that an organisation-wide change is told to before it is answered; the rest refresh by themselves.
create function newest_workspaces(p_org uuid) returns uuid[] language sql stable as $$
  select array(select w.workspace_id from workspace w where w.org_id = p_org
               order by w.created_at desc, w.workspace_id desc limit 50)
$$;

-- What a write answers that concerns every workspace of the organisation: those to tell, newest first.
create type org_write_done as (replayed boolean, revision bigint, authz_epoch bigint, workspace_ids uuid[]);

-- Everything of the organisation goes with it, by cascade, except what the audit tells.
create function org_delete(p_request text, p_if_match bigint[], p_org uuid) returns org_write_done language plpgsql as $$
declare
  o org := lock_org(p_org);
  told uuid[];
begin
  perform require_org_role(p_org, 'owner');
  perform check_version(p_if_match, o.version);
  told := newest_workspaces(p_org);
  perform audit(p_request, 'org.deleted', p_org, null, 'org', p_org);
  delete from org where org_id = p_org;
  return row(false, o.revision + 1, o.authz_epoch + 1, told)::org_write_done;
end $$;

create type org_member_written as (
  replayed boolean, revision bigint, authz_epoch bigint,
  user_id uuid, email text, name text, role text, version bigint, created_at timestamptz,
  workspace_ids uuid[], narrowed boolean);

-- p_workspaces: whose gates have to know. p_narrowed: whether the member may do less than before.
create function org_member_answer(p_member org_member, p_revision bigint, p_authz_epoch bigint, p_workspaces uuid[],
                                  p_narrowed boolean) returns org_member_written
language sql stable as $$
  select row(false, p_revision, p_authz_epoch, p_member.user_id, u.email, u.name, p_member.role, p_member.version,
             p_member.created_at, p_workspaces, p_narrowed)::org_member_written
  from (select 1) one left join user_account u on u.user_id = p_member.user_id
$$;

-- 409 if taking `owner` away from this member would leave the organisation without one. The caller holds the
-- organisation's row, so two such requests come one after the other.
create function check_last_owner(p_member org_member) returns void language plpgsql as $$
begin
  if p_member.role = 'owner' and not exists (
    select 1 from org_member m where m.org_id = p_member.org_id and m.role = 'owner' and m.user_id <> p_member.user_id
  ) then
    perform refuse('DR409', 'last-owner', 'The last owner of an organisation cannot leave it or be demoted.');
  end if;
end $$;

create function find_org_member(p_org uuid, p_user uuid) returns org_member language plpgsql as $$
declare
  m org_member;
begin
  select * into m from org_member where org_id = p_org and user_id = p_user;
  if not found then
    perform refuse('DR404', 'not-found', 'There is no such member.');
  end if;
  return m;
end $$;

-- Changes the role of a member. People join by invitation, not by this.
create function org_member_put(p_request text, p_if_match bigint[], p_org uuid, p_user uuid, p_role text)
returns org_member_written language plpgsql as $$
declare
  o org := lock_org(p_org);
  caller_role text := require_org_role(p_org, 'admin');
  m org_member := find_org_member(p_org, p_user);
  former text := m.role;
  bumped record;
begin
  perform check_version(p_if_match, m.version);
  if m.role = p_role then
    return org_member_answer(m, o.revision, o.authz_epoch, '{}', false);
  end if;
  if 'owner' in (m.role, p_role) and caller_role <> 'owner' then
    perform refuse('DR403', 'forbidden', 'Only an owner may grant or take the role owner.');
  end if;
  perform check_last_owner(m);
  update org_member set role = p_role, version = version + 1
  where org_id = p_org and user_id = p_user returning * into m;
  perform audit(p_request, 'org_member.role_changed', p_org, null, 'user', p_user,
                jsonb_build_object('from', former, 'to', p_role));
  bumped := bump_org(p_org, p_role <> former);
  return org_member_answer(m, bumped.revision, bumped.authz_epoch, newest_workspaces(p_org), org_rank(p_role) < org_rank(former));
end $$;

-- Removes a member, or oneself, and his memberships of the organisation's workspaces.
create function org_member_remove(p_request text, p_if_match bigint[], p_org uuid, p_user uuid) returns org_write_done
language plpgsql as $$
declare
  o org := lock_org(p_org);
  caller_role text := require_org_role(p_org, case when p_user = app_user() then 'member' else 'admin' end);
  m org_member := find_org_member(p_org, p_user);
  theirs uuid[];
  bumped record;
begin
  perform check_version(p_if_match, m.version);
  if m.role = 'owner' and caller_role <> 'owner' then
    perform refuse('DR403', 'forbidden', 'Only an owner may remove an owner.');
  end if;
  perform check_last_owner(m);
  theirs := array(select w.workspace_id from workspace w
                  where w.org_id = p_org and w.workspace_id in (
                    select wm.workspace_id from workspace_member wm where wm.org_id = p_org and wm.user_id = p_user)
                  order by w.workspace_id for no key update);
  perform audit(p_request, 'workspace_member.removed', p_org, wm.workspace_id, 'user', p_user, jsonb_build_object('role', wm.role))
  from workspace_member wm where wm.org_id = p_org and wm.user_id = p_user;
  delete from workspace_member where org_id = p_org and user_id = p_user;
  delete from org_member where org_id = p_org and user_id = p_user;
  perform audit(p_request, 'org_member.removed', p_org, null, 'user', p_user, jsonb_build_object('role', m.role));
  update workspace w set revision = w.revision + 1 where w.org_id = p_org and w.workspace_id = any (theirs);
  bumped := bump_org(p_org, true);
  return row(false, bumped.revision, bumped.authz_epoch, newest_workspaces(p_org))::org_write_done;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
