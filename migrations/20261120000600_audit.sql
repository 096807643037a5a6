-- migrate:up

-- Who changed what. It refers to nothing by foreign key, because it must outlive what it tells of; the Worker's
-- role can add to it and read it, and nothing else.
create table audit_event (
  org_id       uuid        not null,
  event_id     uuid        not null default uuid_v7(),
  workspace_id uuid,
  actor_id     uuid,
  action       text        not null,
  target_type  text        not null,
  target_id    uuid        not null,
  detail       jsonb       not null default '{}',
  request_id   text        not null,
  created_at   timestamptz not null default clock_timestamp(),
  constraint audit_event_pkey primary key (org_id, event_id)
);
-- Serves: the events of a workspace, newest first.
create index audit_event_list_idx on audit_event (org_id, workspace_id, created_at desc, event_id desc);

grant select, insert on audit_event to drey_app, drey_definer;

alter table audit_event enable row level security, force row level security;
create policy audit_event_tenant on audit_event
  using (org_id = app_org()) with check (org_id = app_org());

create function audit(p_request text, p_action text, p_org uuid, p_workspace uuid,
                      p_target_type text, p_target_id uuid, p_detail jsonb default '{}') returns void
language sql as $$
  insert into audit_event (org_id, workspace_id, actor_id, action, target_type, target_id, detail, request_id)
  values (p_org, p_workspace, app_user(), p_action, p_target_type, p_target_id, p_detail, p_request)
$$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
