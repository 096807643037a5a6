-- migrate:up

create type workspace_written as (
  replayed boolean, revision bigint, authz_epoch bigint,
  workspace_id uuid, org_id uuid, name text, slug text, role text, version bigint,
  created_at timestamptz, updated_at timestamptz);

create function workspace_answer(p_workspace workspace, p_role text, p_revision bigint, p_authz_epoch bigint) returns workspace_written language sql immutable as $$
  select row(false, p_revision, p_authz_epoch, p_workspace.workspace_id, p_workspace.org_id, p_workspace.name,
             p_workspace.slug, p_role, p_workspace.version, p_workspace.created_at,
             p_workspace.updated_at)::workspace_written
$$;

-- The creator becomes an admin of the workspace. Answers revision and epoch of the ORGANISATION, whose list has grown:
-- its gate is told, and compares both with its own.
create function workspace_create(p_method text, p_route text, p_key text, p_fingerprint bytea, p_request text,
                                 p_org uuid, p_workspace uuid, p_name text, p_slug text) returns workspace_written
language plpgsql as $$
declare
  stored jsonb := idempotency_begin(p_method, p_route, p_key, p_fingerprint);
  answer workspace_written;
  o org;
  w workspace;
  bumped record;
begin
  if stored is not null then
    perform require_org_role(p_org, 'member');
    answer := jsonb_populate_record(null::workspace_written, stored);
    answer.replayed := answer.workspace_id <> p_workspace;
    return answer;
  end if;
  o := lock_org(p_org);
  perform require_org_role(p_org, 'member');
  insert into workspace (workspace_id, org_id, name, slug, created_by) values (p_workspace, p_org, p_name, p_slug, app_user())
  on conflict on constraint workspace_pkey do nothing returning * into w;
  if not found then
    select * into w from workspace where org_id = p_org and workspace_id = p_workspace and created_by = app_user();
    if not found then
      perform refuse('DR409', 'conflict', 'This id is taken.');
    end if;
    return workspace_answer(w, 'admin', o.revision, o.authz_epoch);
  end if;
  insert into workspace_member (workspace_id, user_id, org_id, role, workspace_created_at)
  values (p_workspace, app_user(), p_org, 'admin', w.created_at);
  perform audit(p_request, 'workspace.created', p_org, p_workspace, 'workspace', p_workspace);
  perform audit(p_request, 'workspace_member.added', p_org, p_workspace, 'user', app_user(), jsonb_build_object('role', 'admin'));
  bumped := bump_org(p_org, false);
  answer := workspace_answer(w, 'admin', bumped.revision, bumped.authz_epoch);
  perform idempotency_end(p_method, p_route, p_key, p_fingerprint, to_jsonb(answer));
  return answer;
end $$;

-- Bumps the organisation too, whose list of workspaces shows the name.
create function workspace_update(p_request text, p_if_match bigint[], p_workspace uuid, p_name text, p_slug text)
returns workspace_written language plpgsql as $$
declare
  w workspace := lock_workspace(p_workspace);
  caller_role text := require_workspace_role(p_workspace, 'admin');
  bumped record;
begin
  perform check_version(p_if_match, w.version);
  if (w.name, w.slug) = (coalesce(p_name, w.name), coalesce(p_slug, w.slug)) then
    return workspace_answer(w, caller_role, w.revision, w.authz_epoch + (select o.authz_epoch from org o where o.org_id = w.org_id));
  end if;
  update workspace set name = coalesce(p_name, name), slug = coalesce(p_slug, slug), version = version + 1, updated_at = now()
  where workspace_id = p_workspace returning * into w;
  perform audit(p_request, 'workspace.updated', w.org_id, p_workspace, 'workspace', p_workspace,
                jsonb_build_object('fields', array_remove(array[case when p_name is not null then 'name' end,
                                                                case when p_slug is not null then 'slug' end], null)));
  perform bump_org(w.org_id, false);
  bumped := bump_workspace(p_workspace, false);
  return workspace_answer(w, caller_role, bumped.revision, bumped.authz_epoch);
end $$;

create function workspace_delete(p_request text, p_if_match bigint[], p_workspace uuid) returns write_done
language plpgsql as $$
declare
  w workspace := lock_workspace(p_workspace);
  bumped record;
begin
  perform require_workspace_role(p_workspace, 'admin');
  perform check_version(p_if_match, w.version);
  perform audit(p_request, 'workspace.deleted', w.org_id, p_workspace, 'workspace', p_workspace);
  delete from workspace where workspace_id = p_workspace;
  bumped := bump_org(w.org_id, false);
  return row(false, w.revision + 1, bumped.authz_epoch + w.authz_epoch + 1)::write_done;
end $$;

create type workspace_member_written as (
  replayed boolean, revision bigint, authz_epoch bigint,
  user_id uuid, email text, name text, role text, version bigint, created_at timestamptz);

create function workspace_member_answer(p_member workspace_member, p_revision bigint, p_authz_epoch bigint)
returns workspace_member_written language sql stable as $$
  select row(false, p_revision, p_authz_epoch, p_member.user_id, u.email, u.name, p_member.role, p_member.version,
             p_member.created_at)::workspace_member_written
  from (select 1) one left join user_account u on u.user_id = p_member.user_id
$$;

-- Adds a member of the organisation to the workspace, or changes his role there. Bumps the organisation too: who
-- is a member decides which workspaces its list shows him.
create function workspace_member_put(p_request text, p_if_match bigint[], p_workspace uuid, p_user uuid, p_role text)
returns workspace_member_written language plpgsql as $$
declare
  w workspace := lock_workspace(p_workspace);
  caller_role text := require_workspace_role(p_workspace, 'admin');
  m workspace_member;
  former text;
  bumped record;
begin
  select * into m from workspace_member where workspace_id = p_workspace and user_id = p_user;
  former := m.role;
  perform check_version(p_if_match, m.version);
  if former = p_role then
    return workspace_member_answer(m, w.revision, w.authz_epoch + (select o.authz_epoch from org o where o.org_id = w.org_id));
  end if;
  if not exists (select 1 from org_member o where o.org_id = w.org_id and o.user_id = p_user) then
    perform refuse('DR409', 'not-an-org-member', 'Only members of the organisation can be members of its workspaces.');
  end if;
  insert into workspace_member as t (workspace_id, user_id, org_id, role, workspace_created_at)
  values (p_workspace, p_user, w.org_id, p_role, w.created_at)
  on conflict on constraint workspace_member_pkey do update set role = excluded.role, version = t.version + 1
  returning * into m;
  if former is null then
    perform audit(p_request, 'workspace_member.added', w.org_id, p_workspace, 'user', p_user, jsonb_build_object('role', p_role));
  else
    perform audit(p_request, 'workspace_member.role_changed', w.org_id, p_workspace, 'user', p_user,
                  jsonb_build_object('from', former, 'to', p_role));
  end if;
  perform bump_org(w.org_id, false);
  bumped := bump_workspace(p_workspace, p_role is distinct from former);
  return workspace_member_answer(m, bumped.revision, bumped.authz_epoch);
end $$;

create function workspace_member_remove(p_request text, p_if_match bigint[], p_workspace uuid, p_user uuid)
returns write_done language plpgsql as $$
declare
  w workspace := lock_workspace(p_workspace);
  caller_role text := require_workspace_role(p_workspace, case when p_user = app_user() then 'viewer' else 'admin' end);
  m workspace_member;
  bumped record;
begin
  select * into m from workspace_member where workspace_id = p_workspace and user_id = p_user;
  if not found then
    perform refuse('DR404', 'not-found', 'There is no such member.');
  end if;
  perform check_version(p_if_match, m.version);
  delete from workspace_member where workspace_id = p_workspace and user_id = p_user;
  perform audit(p_request, 'workspace_member.removed', w.org_id, p_workspace, 'user', p_user, jsonb_build_object('role', m.role));
  perform bump_org(w.org_id, false);
  bumped := bump_workspace(p_workspace, true);
  return row(false, bumped.revision, bumped.authz_epoch)::write_done;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
