-- migrate:up

create type invitation_written as (
  replayed boolean, revision bigint, authz_epoch bigint,
  invitation_id uuid, org_id uuid, email text, role text, workspace_id uuid, workspace_role text, state text,
  version bigint, expires_at timestamptz, created_at timestamptz);

create function invitation_state(p_accepted_at timestamptz, p_expires_at timestamptz) returns text language sql stable
as $$ select case when p_accepted_at is not null then 'accepted' when p_expires_at <= now() then 'expired' else 'pending' end $$;

create function invitation_answer(p_invitation invitation, p_revision bigint, p_authz_epoch bigint) returns invitation_written
language sql stable as $$
  select row(false, p_revision, p_authz_epoch, p_invitation.invitation_id, p_invitation.org_id, p_invitation.email,
             p_invitation.role, p_invitation.workspace_id, p_invitation.workspace_role,
             invitation_state(p_invitation.accepted_at, p_invitation.expires_at), p_invitation.version, p_invitation.expires_at,
             p_invitation.created_at)::invitation_written
$$;

-- Refuses who may not invite with this role.
create function require_inviter(p_org uuid, p_role text) returns void language plpgsql as $$
begin
  if require_org_role(p_org, 'admin') <> 'owner' and p_role = 'owner' then
    perform refuse('DR403', 'forbidden', 'Only an owner may invite an owner.');
  end if;
end $$;

create function invitation_create(p_method text, p_route text, p_key text, p_fingerprint bytea, p_request text,
                                  p_org uuid, p_invitation uuid, p_email text, p_role text, p_workspace uuid,
                                  p_workspace_role text, p_digest bytea, p_hours int) returns invitation_written
language plpgsql as $$
declare
  stored jsonb := idempotency_begin(p_method, p_route, p_key, p_fingerprint);
  answer invitation_written;
  o org;
  i invitation;
  bumped record;
begin
  if stored is not null then
    perform require_inviter(p_org, p_role);
    answer := jsonb_populate_record(null::invitation_written, stored);
    answer.replayed := answer.invitation_id <> p_invitation;
    return answer;
  end if;
  o := lock_org(p_org);
  perform require_inviter(p_org, p_role);
  if p_workspace is not null
     and not exists (select 1 from workspace w where w.org_id = p_org and w.workspace_id = p_workspace) then
    perform refuse('DR404', 'not-found', 'There is no such workspace.');
  end if;
  insert into invitation (org_id, invitation_id, email, role, workspace_id, workspace_role, token_digest, expires_at, created_by)
  values (p_org, p_invitation, p_email, p_role, p_workspace, p_workspace_role, p_digest, now() + make_interval(hours => p_hours), app_user())
  on conflict on constraint invitation_pkey do nothing returning * into i;
  if not found then
    select * into i from invitation where org_id = p_org and invitation_id = p_invitation and created_by = app_user();
    if not found then
      perform refuse('DR409', 'conflict', 'This id is taken.');
    end if;
    return invitation_answer(i, o.revision, o.authz_epoch);
  end if;
  perform audit(p_request, 'invitation.created', p_org, p_workspace, 'invitation', p_invitation,
                jsonb_strip_nulls(jsonb_build_object('role', p_role, 'workspace_role', p_workspace_role)));
  bumped := bump_org(p_org, false);
  answer := invitation_answer(i, bumped.revision, bumped.authz_epoch);
  perform idempotency_end(p_method, p_route, p_key, p_fingerprint, to_jsonb(answer));
  return answer;
end $$;

-- An accepted invitation stays: it says how its member came in.
create function invitation_revoke(p_request text, p_if_match bigint[], p_org uuid, p_invitation uuid) returns write_done language plpgsql as $$
declare
  o org := lock_org(p_org);
  caller_role text := require_org_role(p_org, 'admin');
  i invitation;
  bumped record;
begin
  select * into i from invitation where org_id = p_org and invitation_id = p_invitation for update;
  if not found then
    perform refuse('DR404', 'not-found', 'There is no such invitation.');
  end if;
  perform check_version(p_if_match, i.version);
  if i.accepted_at is not null then
    perform refuse('DR409', 'invitation-used', 'The invitation has been accepted: remove the member instead.');
  elsif i.role = 'owner' and caller_role <> 'owner' then
    perform refuse('DR403', 'forbidden', 'Only an owner may revoke the invitation of an owner.');
  end if;
  delete from invitation where org_id = p_org and invitation_id = p_invitation;
  perform audit(p_request, 'invitation.revoked', p_org, i.workspace_id, 'invitation', p_invitation);
  bumped := bump_org(p_org, false);
  return row(false, bumped.revision, bumped.authz_epoch)::write_done;
end $$;

create type invitation_accepted as (
  replayed boolean, revision bigint, authz_epoch bigint,
  org_id uuid, name text, plan text, region text, role text, version bigint, created_at timestamptz, updated_at timestamptz,
  workspace_id uuid);

-- Makes the caller a member of the inviting organisation, and of the workspace the invitation names. Who is a
-- member already keeps the higher role. SECURITY DEFINER, because the caller has no tenant yet: it finds nothing
-- but the row with exactly this digest. An invitation is worth what its maker may give when it is accepted.
create function invitation_accept(p_method text, p_route text, p_key text, p_fingerprint bytea, p_request text, p_digest bytea)
returns invitation_accepted
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  i invitation;
  o org;
  w workspace;
  former text;
  granted text;
  stored jsonb;
  answer invitation_accepted;
  bumped record;
begin
  if app_user() is null then
    perform refuse('DR403', 'forbidden', 'An invitation is accepted by a user.');
  end if;
  stored := idempotency_begin(p_method, p_route, p_key, p_fingerprint);
  if stored is not null then
    answer := jsonb_populate_record(null::invitation_accepted, stored);
    perform require_org_role(answer.org_id, 'member');
    answer.replayed := stored ->> 'request' <> p_request;
    return answer;
  end if;
  -- Without a lock first: the organisation's row is locked before the item's.
  select * into i from invitation where token_digest = p_digest;
  if not found then
    perform refuse('DR404', 'invitation-not-found', 'There is no invitation with this token.');
  end if;
  o := lock_org(i.org_id);
  if i.workspace_id is not null then
    w := lock_workspace_only(i.workspace_id);
  end if;
  select * into i from invitation where org_id = o.org_id and token_digest = p_digest for update;
  if not found then
    perform refuse('DR404', 'invitation-not-found', 'There is no invitation with this token.');
  end if;
  select m.role into former from org_member m where m.org_id = o.org_id and m.user_id = app_user();
  if i.accepted_at is not null then
    -- The same request again is our own retry of a lost answer.
    if i.accepted_by = app_user() and former is not null and i.accepted_request = p_request then
      return row(false, o.revision, o.authz_epoch, o.org_id, o.name, o.plan, o.region, former,
                 o.version, o.created_at, o.updated_at, i.workspace_id)::invitation_accepted;
    end if;
    perform refuse('DR409', 'invitation-used', 'The invitation has been accepted before.');
  end if;
  if i.expires_at <= now() then
    perform refuse('DR410', 'invitation-expired', 'The invitation has expired.');
  end if;
  if not invitation_is_backed(i) then
    perform refuse('DR410', 'invitation-expired', 'Whoever made this invitation may no longer invite: ask for a new one.');
  end if;
  granted := case when org_rank(former) >= org_rank(i.role) then former else i.role end;
  insert into org_member as m (org_id, user_id, role, org_created_at) values (o.org_id, app_user(), granted, o.created_at)
  on conflict on constraint org_member_pkey
  do update set role = excluded.role, version = m.version + 1 where m.role <> excluded.role;
  if former is null then
    perform audit(p_request, 'org_member.added', o.org_id, null, 'user', app_user(), jsonb_build_object('role', granted));
  elsif former <> granted then
    perform audit(p_request, 'org_member.role_changed', o.org_id, null, 'user', app_user(),
                  jsonb_build_object('from', former, 'to', granted));
  end if;
  if i.workspace_id is not null then
    perform invitation_enter_workspace(p_request, w, i.workspace_role);
  end if;
  update invitation set accepted_at = now(), accepted_by = app_user(), accepted_request = p_request, version = version + 1
  where org_id = o.org_id and invitation_id = i.invitation_id;
  perform audit(p_request, 'invitation.accepted', o.org_id, i.workspace_id, 'invitation', i.invitation_id);
  bumped := bump_org(o.org_id, former is distinct from granted);
  answer := row(false, bumped.revision, bumped.authz_epoch, o.org_id, o.name, o.plan, o.region, granted, o.version,
                o.created_at, o.updated_at, i.workspace_id)::invitation_accepted;
  perform idempotency_end(p_method, p_route, p_key, p_fingerprint, to_jsonb(answer) || jsonb_build_object('request', p_request));
  return answer;
end $$;
alter function invitation_accept owner to drey_definer;
revoke execute on function invitation_accept from public;
grant execute on function invitation_accept to drey_app;

-- Whether the maker of the invitation may still make it. The caller holds the organisation's row.
create function invitation_is_backed(p_invitation invitation) returns boolean language sql stable as $$
  select exists (
    select 1 from org_member m where m.org_id = p_invitation.org_id and m.user_id = p_invitation.created_by
      and org_rank(m.role) >= org_rank(case p_invitation.role when 'owner' then 'owner' else 'admin' end))
$$;

-- The part of accepting that concerns the workspace; the caller holds its row.
create function invitation_enter_workspace(p_request text, p_workspace workspace, p_role text) returns void
language plpgsql as $$
declare
  former text;
begin
  select m.role into former from workspace_member m
  where m.workspace_id = p_workspace.workspace_id and m.user_id = app_user();
  if workspace_rank(former) >= workspace_rank(p_role) then
    return;
  end if;
  insert into workspace_member as m (workspace_id, user_id, org_id, role, workspace_created_at)
  values (p_workspace.workspace_id, app_user(), p_workspace.org_id, p_role, p_workspace.created_at)
  on conflict on constraint workspace_member_pkey do update set role = excluded.role, version = m.version + 1;
  if former is null then
    perform audit(p_request, 'workspace_member.added', p_workspace.org_id, p_workspace.workspace_id, 'user', app_user(),
                  jsonb_build_object('role', p_role));
  else
    perform audit(p_request, 'workspace_member.role_changed', p_workspace.org_id, p_workspace.workspace_id, 'user', app_user(),
                  jsonb_build_object('from', former, 'to', p_role));
  end if;
  perform bump_workspace(p_workspace.workspace_id, true);
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
