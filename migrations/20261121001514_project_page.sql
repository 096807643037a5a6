-- migrate:up

-- A page of a workspace's projects, newest first, each with the caller's role and the revision; a row without a project if
-- there is none. All of one snapshot: a stable function sees that of the statement that calls it. A function and not the
-- query itself, because Postgres keeps the plans of a function with the connection: planning the query under row-level
-- security took longer than running it. A kept plan does not know how long a list is, so it is told to walk the index.
create function project_page(p_workspace uuid, p_most bigint, p_before timestamptz, p_before_id uuid)
returns table (role text, revision bigint, project_id uuid, workspace_id uuid, name text, slug text, description text,
               version bigint, created_at timestamptz, updated_at timestamptz)
language plpgsql stable rows 20 set enable_sort = off set enable_bitmapscan = off as $$
declare
  v_role text := workspace_role(p_workspace);
  v_revision bigint := (select w.revision from workspace w where w.workspace_id = p_workspace);
  v_before timestamptz := coalesce(p_before, 'infinity');
  v_before_id uuid := coalesce(p_before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
begin
  if v_role is not null then
    return query
      select v_role, v_revision, p.project_id, p.workspace_id, p.name, p.slug, p.description, p.version, p.created_at, p.updated_at
      from project p
      where p.workspace_id = p_workspace and (p.created_at, p.project_id) < (v_before, v_before_id)
      order by p.created_at desc, p.project_id desc limit p_most;
  end if;
  if v_role is null or not found then
    return query select v_role, v_revision, null::uuid, null::uuid, null::text, null::text, null::text, null::bigint,
                        null::timestamptz, null::timestamptz;
  end if;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
