-- migrate:up

-- Whether the caller may speak of this scope at all: its thing is one of the workspace, and a user's scope is his own.
create function sync_thing_exists(p_workspace uuid, p_type text, p_id text) returns boolean language sql stable as $$
  select case p_type
    when 'workspace' then coalesce(typeid_uuid('ws', p_id) = p_workspace, false)
    when 'project' then exists (select 1 from project p where p.workspace_id = p_workspace and p.project_id = typeid_uuid('prj', p_id))
    when 'user' then coalesce(typeid_uuid('user', p_id) = app_user(), false)
    when 'collection' then exists (select 1 from collection c where c.workspace_id = p_workspace and c.collection_id = p_id)
    when 'environment' then exists (select 1 from environment e where e.workspace_id = p_workspace and e.environment_id = p_id)
    else false end
$$;

-- One mutation of a push, in the order of the call.
create type sync_item as (
  id bigint, scope_type text, scope_id text, entity_type text, entity_id text, op text, base_version bigint, clock jsonb,
  value json, reject_code text, reject_detail text, n bigint);

-- The values come in an array of their own: json_array_elements hands each on as it is, whereas json_to_recordset
-- would choke on an escaped NUL or a lone surrogate anywhere inside one.
create function sync_items(p_mutations json, p_values json) returns sync_item[] language sql immutable as $$
  select coalesce(array_agg(row(m.id, m.scope_type, m.scope_id, m.entity_type, m.entity_id, m.op, m.base_version, m.clock,
                                case when m.op = 'upsert' then m.value end, m.reject_code, m.reject_detail, m.n)::sync_item
                            order by m.n), '{}')
  from rows from (
    json_to_recordset(p_mutations) as (id bigint, scope_type text, scope_id text, entity_type text, entity_id text, op text,
                                       base_version bigint, clock jsonb, reject_code text, reject_detail text),
    json_array_elements(p_values)
  ) with ordinality as m (id, scope_type, scope_id, entity_type, entity_id, op, base_version, clock, reject_code, reject_detail, value, n)
$$;

-- The client's row, locked: pushes of one client come one after the other.
create function sync_lock_client(p_workspace uuid, p_client text, p_session uuid) returns sync_client language plpgsql as $$
declare
  client sync_client;
begin
  insert into sync_client (workspace_id, client_id, user_id, session_id) values (p_workspace, p_client, app_user(), p_session)
  on conflict on constraint sync_client_pkey do nothing;
  select * into client from sync_client c where c.workspace_id = p_workspace and c.client_id = p_client for update;
  if client.user_id <> app_user() then
    perform refuse('DR403', 'client-mismatch', 'This client id belongs to another user.');
  end if;
  return client;
end $$;

-- Makes the collections and environments that this push upserts, in one order for all; answers those that are new.
create function sync_make_things(p_workspace uuid, p_items sync_item[]) returns text[] language sql volatile as $$
  with wanted as (
    select distinct i.entity_type, i.entity_id from unnest(p_items) i
    where i.reject_code is null and i.op = 'upsert' and i.entity_type in ('collection', 'environment')
      and i.scope_type in ('workspace', 'project') and sync_thing_exists(p_workspace, i.scope_type, i.scope_id)
  ), collections as (
    insert into collection (workspace_id, collection_id)
    select p_workspace, w.entity_id from wanted w where w.entity_type = 'collection' order by 2
    on conflict on constraint collection_pkey do nothing returning 'collection/' || collection_id as thing
  ), environments as (
    insert into environment (workspace_id, environment_id)
    select p_workspace, w.entity_id from wanted w where w.entity_type = 'environment' order by 2
    on conflict on constraint environment_pkey do nothing returning 'environment/' || environment_id as thing
  )
  select coalesce(array_agg(t.thing), '{}') from (select thing from collections union all select thing from environments) t
$$;

-- Takes back what sync_make_things made, and the scopes of it: a stale push writes nothing.
create function sync_unmake_things(p_workspace uuid, p_things text[]) returns void language sql volatile as $$
  delete from collection where workspace_id = p_workspace and 'collection/' || collection_id = any (p_things);
  delete from environment where workspace_id = p_workspace and 'environment/' || environment_id = any (p_things);
$$;

-- Makes the missing scopes whose thing exists, then locks all of the push, both in (type, id) order.
create function sync_lock_scopes(p_workspace uuid, p_items sync_item[]) returns sync_scope[] language plpgsql as $$
declare
  locked sync_scope[];
begin
  insert into sync_user (workspace_id, user_id)
  select p_workspace, app_user() where exists (
    select 1 from unnest(p_items) i where i.reject_code is null and i.scope_type = 'user' and typeid_uuid('user', i.scope_id) = app_user())
  on conflict on constraint sync_user_pkey do nothing;
  insert into sync_scope (workspace_id, scope_type, scope_id, project_id, user_id, collection_id, environment_id)
  select p_workspace, i.scope_type, i.scope_id,
         case i.scope_type when 'project' then typeid_uuid('prj', i.scope_id) end,
         case i.scope_type when 'user' then app_user() end,
         case i.scope_type when 'collection' then i.scope_id end,
         case i.scope_type when 'environment' then i.scope_id end
  from (select distinct u.scope_type, u.scope_id from unnest(p_items) u where u.reject_code is null) i
  where not exists (select 1 from sync_scope s where s.workspace_id = p_workspace and s.scope_type = i.scope_type and s.scope_id = i.scope_id)
    and sync_thing_exists(p_workspace, i.scope_type, i.scope_id)
  order by i.scope_type, i.scope_id
  on conflict on constraint sync_scope_pkey do nothing;
  -- A user's scope is nobody else's, administrators included.
  with rows as (
    select s.* from sync_scope s
    where s.workspace_id = p_workspace and (s.user_id is null or s.user_id = app_user())
      and (s.scope_type, s.scope_id) in (select u.scope_type, u.scope_id from unnest(p_items) u where u.reject_code is null)
    order by s.scope_type, s.scope_id for no key update
  )
  select coalesce(array_agg(rows::sync_scope), '{}') into locked from rows;
  return locked;
end $$;

-- The stale mutations: those whose base is neither the version that stands nor one since which only this client has
-- written. An entity that is not there stands at version 0.
create function sync_stale(p_workspace uuid, p_client text, p_items sync_item[])
returns table (n bigint, version bigint, value json, clock jsonb, deleted boolean) language sql stable as $$
  select i.n, coalesce(s.version, 0), s.value, coalesce(s.clock, '{}'), coalesce(s.deleted, true)
  from unnest(p_items) i
  left join lateral (
    select t.* from sync_state t
    where t.workspace_id = p_workspace and t.scope_type = i.scope_type and t.scope_id = i.scope_id
      and t.entity_type = i.entity_type and t.entity_id = i.entity_id limit 1
  ) s on true
  where i.reject_code is null and coalesce(i.base_version, 0) <> coalesce(s.version, 0)
    and not coalesce(s.client_id = p_client and s.foreign_version <= coalesce(i.base_version, 0)
                     and coalesce(i.base_version, 0) < s.version, false)
$$;

-- Writes what is to be applied: the scopes' epochs, the log, the state. Answers (n, epoch) of each.
create function sync_apply(p_workspace uuid, p_client text, p_items sync_item[], p_scopes sync_scope[])
returns table (n bigint, epoch bigint) language plpgsql as $$
#variable_conflict use_column
begin
  update sync_scope s set epoch = s.epoch + c.count
  from (select i.scope_type, i.scope_id, count(*) as count from unnest(p_items) i where i.reject_code is null group by 1, 2) c
  where s.workspace_id = p_workspace and s.scope_type = c.scope_type and s.scope_id = c.scope_id;
  return query
  with numbered as materialized (
    select i.*, l.epoch + row_number() over (partition by i.scope_type, i.scope_id order by i.n) as epoch,
           coalesce(lag(i.op = 'delete') over entity, s.deleted, true) as absent,
           row_number() over (partition by i.scope_type, i.scope_id, i.entity_type, i.entity_id order by i.n desc) as from_last
    from unnest(p_items) i
    join unnest(p_scopes) l on l.scope_type = i.scope_type and l.scope_id = i.scope_id
    left join lateral (
      select t.deleted from sync_state t
      where t.workspace_id = p_workspace and t.scope_type = i.scope_type and t.scope_id = i.scope_id
        and t.entity_type = i.entity_type and t.entity_id = i.entity_id limit 1
    ) s on true
    where i.reject_code is null
    window entity as (partition by i.scope_type, i.scope_id, i.entity_type, i.entity_id order by i.n)
  ), logged as (
    insert into sync_change (workspace_id, scope_type, scope_id, server_epoch, entity_type, entity_id, operation, value, clock,
                             user_id, client_id, mutation_id, txid, bytes)
    select p_workspace, m.scope_type, m.scope_id, m.epoch, m.entity_type, m.entity_id,
           case when m.op = 'delete' then 'delete' when m.absent then 'insert' else 'update' end,
           m.value, m.clock, app_user(), p_client, m.id, pg_current_xact_id()::text::bigint,
           -- 320: the names, quotes and numbers of a message, at their longest.
           320 + octet_length(p_client) + 2 * octet_length(m.entity_type) + octet_length(m.entity_id) + coalesce(octet_length(m.value::text), 0)
    from numbered m order by m.n
  ), stated as (
    insert into sync_state as t (workspace_id, scope_type, scope_id, entity_type, entity_id, version, value, clock, deleted,
                                 client_id, mutation_id)
    select p_workspace, m.scope_type, m.scope_id, m.entity_type, m.entity_id, m.epoch, m.value, m.clock, m.op = 'delete', p_client, m.id
    from numbered m where m.from_last = 1
    on conflict on constraint sync_state_pkey do update
    set version = excluded.version, value = excluded.value, clock = excluded.clock, deleted = excluded.deleted,
        client_id = excluded.client_id, mutation_id = excluded.mutation_id, updated_at = now(),
        foreign_version = case when t.client_id = excluded.client_id then t.foreign_version else t.version end
  )
  select m.n, m.epoch from numbered m;
end $$;

-- The scopes a push touched, as they stand now.
create function sync_scopes_now(p_workspace uuid, p_scopes sync_scope[]) returns json language sql stable as $$
  select coalesce(json_agg(json_build_object('type', s.scope_type, 'id', s.scope_id, 'generation', s.generation, 'epoch', s.epoch)
                           order by s.scope_type, s.scope_id), '[]')
  from unnest(p_scopes) l
  join sync_scope s on s.workspace_id = p_workspace and s.scope_type = l.scope_type and s.scope_id = l.scope_id
$$;

-- The answers of a push that met a stale base: nothing was written. The stale ones carry what stands, up to 4 MiB
-- together; the rest is to be sent again with them.
create function sync_stale_results(p_workspace uuid, p_client text, p_items sync_item[], p_last bigint) returns json
language sql stable as $$
  with found as (
    select s.*, sum(coalesce(octet_length(s.value::text), 0)) over (order by s.n) as total
    from sync_stale(p_workspace, p_client, array(select i from unnest(p_items) i where i.id > p_last)) s
  )
  select json_agg(case
    when i.id <= p_last then json_build_object('id', i.id, 'outcome', 'duplicate', 'original', m.outcome)
    when f.total <= 4194304 then json_build_object('id', i.id, 'outcome', 'stale', 'version', f.version, 'value', f.value,
                                                   'clock', f.clock, 'deleted', f.deleted)
    else json_build_object('id', i.id, 'outcome', 'retry') end order by i.n)
  from unnest(p_items) i
  left join found f on f.n = i.n
  left join sync_mutation m on m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id = i.id
$$;

-- Round 1 of a push, in one call: p_mutations an array of the flat fields of sync_item, p_values an array of their
-- values (null for none), both in order. Mutations that the caller has rejected come with reject_code and are only
-- recorded. `expect_version` and `else_diverge` are reserved for rounds 2 and 3.
create function sync_push(p_workspace uuid, p_client text, p_session uuid, p_acked bigint, p_mutations json, p_values json)
returns table (last_mutation_id bigint, results json, scopes json) language plpgsql as $$
#variable_conflict use_column
declare
  caller_role text := require_workspace_role(p_workspace, 'editor');
  client sync_client := sync_lock_client(p_workspace, p_client, p_session);
  last bigint := client.last_mutation_id;
  items sync_item[] := sync_items(p_mutations, p_values);
  fresh sync_item[] := array(select i from unnest(items) i where i.id > last order by i.n);
  newest bigint := last + cardinality(fresh);
  made text[];
  locked sync_scope[];
begin
  if exists (select 1 from unnest(fresh) with ordinality as f where f.id <> last + f.ordinality) then
    perform refuse('DR409', 'mutation-gap', format('The next mutation of this client is %s.', last + 1), (last + 1)::text);
  end if;
  delete from sync_mutation m where m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id <= p_acked;
  made := sync_make_things(p_workspace, fresh);
  locked := sync_lock_scopes(p_workspace, fresh);
  fresh := array(
    select case when f.reject_code is null and l.scope_id is null
           then row(f.id, f.scope_type, f.scope_id, f.entity_type, f.entity_id, f.op, f.base_version, f.clock, f.value,
                    'unknown-scope', 'There is no such scope in this workspace.', f.n)::sync_item else f end
    from unnest(fresh) f left join unnest(locked) l on l.scope_type = f.scope_type and l.scope_id = f.scope_id order by f.n);
  if exists (select 1 from sync_stale(p_workspace, p_client, fresh)) then
    results := sync_stale_results(p_workspace, p_client, items, last);
    scopes := sync_scopes_now(p_workspace, locked);
    perform sync_unmake_things(p_workspace, made);
    return query select last, results, scopes;
    return;
  end if;
  -- The epochs are owed to the log: the outcome of each mutation is kept in the same statement that numbers it.
  insert into sync_mutation (workspace_id, client_id, mutation_id, outcome)
  select p_workspace, p_client, f.id,
         case when f.reject_code is null then jsonb_build_object('outcome', 'applied', 'version', a.epoch, 'epoch', a.epoch)
         else jsonb_build_object('outcome', 'rejected', 'code', f.reject_code, 'detail', f.reject_detail) end
  from unnest(fresh) f left join sync_apply(p_workspace, p_client, fresh, locked) a on a.n = f.n;
  update sync_client c set last_mutation_id = newest, session_id = coalesce(p_session, c.session_id), seen_at = now()
  where c.workspace_id = p_workspace and c.client_id = p_client;
  return query
  select newest,
         (select coalesce(json_agg(case when i.id > last
                    then jsonb_build_object('id', i.id) || m.outcome
                    else jsonb_build_object('id', i.id, 'outcome', 'duplicate', 'original', m.outcome) end order by i.n), '[]')
          from unnest(items) i
          left join sync_mutation m on m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id = i.id),
         sync_scopes_now(p_workspace, locked);
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
