-- migrate:up

create type project_written as (
  replayed boolean, revision bigint, authz_epoch bigint,
  project_id uuid, workspace_id uuid, name text, slug text, description text, version bigint,
  created_at timestamptz, updated_at timestamptz);

create function project_answer(p_project project, p_revision bigint, p_authz_epoch bigint) returns project_written
language sql immutable as $$
  select row(false, p_revision, p_authz_epoch, p_project.project_id, p_project.workspace_id, p_project.name,
             p_project.slug, p_project.description, p_project.version, p_project.created_at,
             p_project.updated_at)::project_written
$$;

-- What bump_workspace would answer if it bumped nothing.
create function workspace_now(p_workspace uuid, out revision bigint, out authz_epoch bigint) language sql stable as $$
  select w.revision, w.authz_epoch + o.authz_epoch
  from workspace w join org o on o.org_id = w.org_id where w.workspace_id = p_workspace
$$;

create function project_create(p_method text, p_route text, p_key text, p_fingerprint bytea, p_request text,
                               p_workspace uuid, p_project uuid, p_name text, p_slug text, p_description text)
returns project_written language plpgsql as $$
declare
  stored jsonb := idempotency_begin(p_method, p_route, p_key, p_fingerprint);
  answer project_written;
  w workspace;
  p project;
  bumped record;
begin
  if stored is not null then
    perform require_workspace_role(p_workspace, 'editor');
    answer := jsonb_populate_record(null::project_written, stored);
    answer.replayed := answer.project_id <> p_project;
    return answer;
  end if;
  w := lock_workspace_only(p_workspace);
  perform require_workspace_role(p_workspace, 'editor');
  insert into project (workspace_id, project_id, name, slug, description, created_by)
  values (p_workspace, p_project, p_name, p_slug, p_description, app_user())
  on conflict on constraint project_pkey do nothing returning * into p;
  if not found then
    select * into p from project where workspace_id = p_workspace and project_id = p_project and created_by = app_user();
    if not found then
      perform refuse('DR409', 'conflict', 'This id is taken.');
    end if;
    bumped := workspace_now(p_workspace);
    return project_answer(p, bumped.revision, bumped.authz_epoch);
  end if;
  perform audit(p_request, 'project.created', w.org_id, p_workspace, 'project', p_project);
  -- The last statement but one, so that the stored answer can carry the revision it made.
  bumped := bump_workspace(p_workspace, false);
  answer := project_answer(p, bumped.revision, bumped.authz_epoch);
  perform idempotency_end(p_method, p_route, p_key, p_fingerprint, to_jsonb(answer));
  return answer;
end $$;

create function find_project(p_workspace uuid, p_project uuid) returns project language plpgsql as $$
declare
  p project;
begin
  select * into p from project where workspace_id = p_workspace and project_id = p_project;
  if not found then
    perform refuse('DR404', 'not-found', 'There is no such project.');
  end if;
  return p;
end $$;

create function project_update(p_request text, p_if_match bigint[], p_workspace uuid, p_project uuid,
                               p_name text, p_slug text, p_description text) returns project_written
language plpgsql as $$
declare
  w workspace := lock_workspace_only(p_workspace);
  caller_role text := require_workspace_role(p_workspace, 'editor');
  p project := find_project(p_workspace, p_project);
  bumped record;
begin
  perform check_version(p_if_match, p.version);
  if (p.name, p.slug, p.description)
   = (coalesce(p_name, p.name), coalesce(p_slug, p.slug), coalesce(p_description, p.description)) then
    bumped := workspace_now(p_workspace);
    return project_answer(p, bumped.revision, bumped.authz_epoch);
  end if;
  update project set name = coalesce(p_name, name), slug = coalesce(p_slug, slug),
                     description = coalesce(p_description, description), version = version + 1, updated_at = now()
  where workspace_id = p_workspace and project_id = p_project returning * into p;
  perform audit(p_request, 'project.updated', w.org_id, p_workspace, 'project', p_project,
                jsonb_build_object('fields', array_remove(array[case when p_name is not null then 'name' end,
                                                                case when p_slug is not null then 'slug' end,
                                                                case when p_description is not null then 'description' end], null)));
  bumped := bump_workspace(p_workspace, false);
  return project_answer(p, bumped.revision, bumped.authz_epoch);
end $$;

create function project_delete(p_request text, p_if_match bigint[], p_workspace uuid, p_project uuid) returns write_done
language plpgsql as $$
declare
  w workspace := lock_workspace_only(p_workspace);
  caller_role text := require_workspace_role(p_workspace, 'editor');
  p project := find_project(p_workspace, p_project);
  bumped record;
begin
  perform check_version(p_if_match, p.version);
  delete from project where workspace_id = p_workspace and project_id = p_project;
  perform audit(p_request, 'project.deleted', w.org_id, p_workspace, 'project', p_project);
  bumped := bump_workspace(p_workspace, false);
  return row(false, bumped.revision, bumped.authz_epoch)::write_done;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
