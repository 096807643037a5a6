-- migrate:up

-- Neon's pooler forgets all plans between two batches, so each statement of a function is planned anew in each call: what a
-- push costs is first of all how many statements it runs, and how many partitions each of them thinks of. So: no statement
-- for what a push has none of, and the scope as a value and not as a join, which leaves the planner one partition. What it
-- answers is bounded, and what it keeps goes with the clients that are forgotten.

-- As before; whether the key holds is asked only if there is one.
create or replace function workspace_role(p_workspace uuid) returns text language sql stable
as $$
  select case when o.role in ('owner', 'admin') then 'admin' else m.role end
  from workspace w
  join org_member o on o.org_id = w.org_id and o.user_id = app_user()
  left join workspace_member m on m.workspace_id = w.workspace_id and m.user_id = app_user()
  where w.workspace_id = p_workspace and (app_key() is null or app_key_holds(p_workspace))
$$;

create or replace function require_workspace_role(p_workspace uuid, p_needed text) returns text language plpgsql stable as $$
declare
  caller_role text := workspace_role(p_workspace);
begin
  if app_key() is not null and not app_key_holds(p_workspace) then
    perform refuse('DR401', 'invalid-token', 'The API key was revoked or has expired.');
  elsif caller_role is null then
    perform refuse('DR404', 'not-found', 'There is no such workspace.');
  elsif workspace_rank(caller_role) < workspace_rank(p_needed) then
    perform refuse('DR403', 'forbidden', format('This needs the role %s in the workspace.', p_needed));
  end if;
  return caller_role;
end $$;

-- Forgets the outcomes of a few clients that were away longer than they are remembered: nobody can ask for them any more.
-- Their rows stay, so that their ids do not begin again.
create function sync_forget_outcomes(p_workspace uuid, p_retention interval) returns void language sql as $$
  with gone as (
    select c.workspace_id, c.client_id from sync_client c
    where c.workspace_id = p_workspace and c.seen_at < now() - p_retention and c.acked_mutation_id < c.last_mutation_id
    limit 10 for update skip locked
  ), marked as (
    update sync_client c set acked_mutation_id = c.last_mutation_id
    from gone g where c.workspace_id = g.workspace_id and c.client_id = g.client_id
  )
  delete from sync_mutation m using gone g where m.workspace_id = g.workspace_id and m.client_id = g.client_id
$$;

-- As before; a client is made only if it is not there. Whoever makes one takes some of the outcomes of forgotten ones away in
-- passing: it is the one step that comes once a client, so the rows cannot grow faster than they go.
create or replace function sync_lock_client(p_workspace uuid, p_client text, p_session uuid, p_bounds sync_bounds) returns sync_client
language plpgsql as $$
declare
  client sync_client;
begin
  select * into client from sync_client c where c.workspace_id = p_workspace and c.client_id = p_client for update;
  if not found then
    insert into sync_client (workspace_id, client_id, user_id) values (p_workspace, p_client, app_user())
    on conflict on constraint sync_client_pkey do nothing;
    select * into client from sync_client c where c.workspace_id = p_workspace and c.client_id = p_client for update;
    perform sync_forget_outcomes(p_workspace, p_bounds.client_retention);
  end if;
  if client.user_id <> app_user() then
    perform refuse('DR403', 'client-mismatch', 'This client id belongs to another user.');
  elsif client.seen_at < now() - p_bounds.client_retention then
    perform refuse('DR409', 'client-expired', 'This client was away longer than it is remembered: begin again under another id.');
  end if;
  if p_session is not null then
    perform sync_require_session(p_workspace, p_client, p_session, p_bounds.session_ttl);
  end if;
  return client;
end $$;

-- A session that a push names must be one of this client, and not over.
create function sync_require_session(p_workspace uuid, p_client text, p_session uuid, p_ttl interval) returns void
language plpgsql as $$
begin
  if not exists (
    select 1 from sync_session s where s.workspace_id = p_workspace and s.session_id = p_session and s.client_id = p_client
      and s.user_id = app_user() and s.seen_at > now() - p_ttl) then
    perform refuse('DR409', 'session-expired', 'This client has no such session, or it is over: open another.');
  end if;
end $$;

-- Locks the scopes of the push in (type, id) order; one that is missing is made if its thing exists.
create or replace function sync_lock_scopes(p_workspace uuid, p_items sync_item[]) returns sync_scope[] language plpgsql as $$
declare
  wanted record;
  scope sync_scope;
  locked sync_scope[] := '{}';
begin
  for wanted in
    select distinct i.scope_type, i.scope_id from unnest(p_items) i where i.reject_code is null order by 1, 2
  loop
    scope := sync_lock_scope(p_workspace, wanted.scope_type, wanted.scope_id);
    if scope.scope_id is null and sync_thing_exists(p_workspace, wanted.scope_type, wanted.scope_id) then
      perform sync_make_scope(p_workspace, wanted.scope_type, wanted.scope_id);
      scope := sync_lock_scope(p_workspace, wanted.scope_type, wanted.scope_id);
    end if;
    if scope.scope_id is not null then
      locked := array_append(locked, scope);
    end if;
  end loop;
  return locked;
end $$;

-- The scope, locked, or NULL. A user's is nobody else's, administrators included.
create function sync_lock_scope(p_workspace uuid, p_type text, p_id text) returns sync_scope language plpgsql as $$
declare
  scope sync_scope;
begin
  select s.* into scope from sync_scope s
  where s.workspace_id = p_workspace and s.scope_type = p_type and s.scope_id = p_id
    and (s.user_id is null or s.user_id = app_user()) for no key update;
  return scope;
end $$;

create function sync_make_scope(p_workspace uuid, p_type text, p_id text) returns void language plpgsql as $$
begin
  if p_type = 'user' then
    insert into sync_user (workspace_id, user_id) values (p_workspace, app_user())
    on conflict on constraint sync_user_pkey do nothing;
  end if;
  insert into sync_scope (workspace_id, scope_type, scope_id, project_id, user_id, collection_id, environment_id)
  values (p_workspace, p_type, p_id,
          case p_type when 'project' then typeid_uuid('prj', p_id) end,
          case p_type when 'user' then app_user() end,
          case p_type when 'collection' then p_id end,
          case p_type when 'environment' then p_id end)
  on conflict on constraint sync_scope_pkey do nothing;
end $$;

-- What stands where a mutation wants to write: read once, under the scopes' locks, for all that is decided by it.
create type sync_stand as (n bigint, version bigint, deleted boolean, client_id text, foreign_version bigint);

create function sync_stands(p_workspace uuid, p_items sync_item[]) returns sync_stand[] language plpgsql stable as $$
declare
  part record;
  stands sync_stand[] := '{}';
begin
  for part in
    select i.scope_type, i.scope_id, array_agg(i) as items from unnest(p_items) i where i.reject_code is null group by 1, 2
  loop
    -- A limit of one: however many mutations there are, each is a look into the index.
    stands := stands || array(
      select row(i.n, s.version, s.deleted, s.client_id, s.foreign_version)::sync_stand
      from unnest(part.items) i cross join lateral (
        select t.* from sync_state t
        where t.workspace_id = p_workspace and t.scope_type = part.scope_type and t.scope_id = part.scope_id
          and t.entity_type = i.entity_type and t.entity_id = i.entity_id limit 1
      ) s);
  end loop;
  return stands;
end $$;

-- Whether a mutation is stale where this stands (nothing: version 0): its base is neither that version nor one since which
-- only this client has written. A mutation with an expected version is stale if another one stands, unless only bases are
-- asked about.
create function sync_is_stale(p_client text, p_by_base boolean, p_expected bigint, p_base bigint, p_version bigint,
                              p_writer text, p_foreign_version bigint) returns boolean language sql immutable as $$
  select case when p_expected is not null and not p_by_base then p_expected <> coalesce(p_version, 0)
    else coalesce(p_base, 0) <> coalesce(p_version, 0)
     and not coalesce(p_writer = p_client and p_foreign_version <= coalesce(p_base, 0) and coalesce(p_base, 0) < p_version, false) end
$$;

-- As before: the stale mutations with all that stands there, for who is to be told of it.
create or replace function sync_stale(p_workspace uuid, p_client text, p_items sync_item[], p_by_base boolean)
returns table (n bigint, version bigint, value json, clock jsonb, deleted boolean, client_id text, mutation_id bigint)
language sql stable as $$
  select i.n, coalesce(s.version, 0), s.value, coalesce(s.clock, '{}'), coalesce(s.deleted, true), s.client_id, s.mutation_id
  from unnest(p_items) i
  left join lateral (
    select t.* from sync_state t
    where t.workspace_id = p_workspace and t.scope_type = i.scope_type and t.scope_id = i.scope_id
      and t.entity_type = i.entity_type and t.entity_id = i.entity_id limit 1
  ) s on true
  where i.reject_code is null
    and sync_is_stale(p_client, p_by_base, i.expect_version, i.base_version, s.version, s.client_id, s.foreign_version)
$$;

drop function sync_apply(uuid, text, sync_item[], sync_scope[]);
-- Writes what is to be applied, scope by scope: the epoch, the log, the state. Answers (n, epoch) of each.
create function sync_apply(p_workspace uuid, p_client text, p_items sync_item[], p_scopes sync_scope[], p_stands sync_stand[] default null)
returns table (n bigint, epoch bigint) language plpgsql as $$
#variable_conflict use_column
declare
  stands sync_stand[] := coalesce(p_stands, sync_stands(p_workspace, p_items));
  part record;
begin
  for part in
    select l.scope_type, l.scope_id, l.epoch, array_agg(i order by i.n) as items
    from unnest(p_scopes) l join unnest(p_items) i on i.scope_type = l.scope_type and i.scope_id = l.scope_id
    where i.reject_code is null group by 1, 2, 3
  loop
    update sync_scope s set epoch = part.epoch + cardinality(part.items)
    where s.workspace_id = p_workspace and s.scope_type = part.scope_type and s.scope_id = part.scope_id;
    return query
    with numbered as materialized (
      select i.*, part.epoch + i.ordinality as epoch, coalesce(lag(i.op = 'delete') over entity, s.deleted, true) as absent,
             row_number() over (partition by i.entity_type, i.entity_id order by i.n desc) as from_last
      from unnest(part.items) with ordinality i left join unnest(stands) s on s.n = i.n
      window entity as (partition by i.entity_type, i.entity_id order by i.n)
    ), logged as (
      insert into sync_change (workspace_id, scope_type, scope_id, server_epoch, entity_type, entity_id, operation, value, clock,
                               user_id, client_id, mutation_id, txid, bytes)
      select p_workspace, part.scope_type, part.scope_id, m.epoch, m.entity_type, m.entity_id,
             case when m.op = 'delete' then 'delete' when m.absent then 'insert' else 'update' end,
             m.value, m.clock, app_user(), p_client, m.id, pg_current_xact_id()::text::bigint,
             -- 320: the names, quotes and numbers of a message, at their longest.
             320 + octet_length(p_client) + 2 * octet_length(m.entity_type) + octet_length(m.entity_id) + coalesce(octet_length(m.value::text), 0)
      from numbered m order by m.n
    ), stated as (
      insert into sync_state as t (workspace_id, scope_type, scope_id, entity_type, entity_id, version, value, clock, deleted,
                                   client_id, mutation_id)
      select p_workspace, part.scope_type, part.scope_id, m.entity_type, m.entity_id, m.epoch, m.value, m.clock, m.op = 'delete',
             p_client, m.id
      from numbered m where m.from_last = 1
      on conflict on constraint sync_state_pkey do update
      set version = excluded.version, value = excluded.value, clock = excluded.clock, deleted = excluded.deleted,
          client_id = excluded.client_id, mutation_id = excluded.mutation_id, updated_at = now(),
          foreign_version = case when t.client_id = excluded.client_id then t.foreign_version else t.version end
    )
    select m.n, m.epoch from numbered m;
  end loop;
end $$;

drop function sync_scopes_now(uuid, sync_scope[]);
-- The scopes of a push as they stand after these writes: each has moved them by one, under the lock that they were read with.
create function sync_scopes_after(p_scopes sync_scope[], p_writes sync_item[]) returns json language sql immutable as $$
  select coalesce(json_agg(json_build_object('type', l.scope_type, 'id', l.scope_id, 'generation', l.generation,
                                             'epoch', l.epoch + coalesce(w.count, 0)) order by l.scope_type, l.scope_id), '[]')
  from unnest(p_scopes) l
  left join (select i.scope_type, i.scope_id, count(*) from unnest(p_writes) i where i.reject_code is null group by 1, 2) w
    on w.scope_type = l.scope_type and w.scope_id = l.scope_id
$$;

-- As before, in a language whose body the planner does not read in order to see whether it could stand in the caller's place.
create or replace function sync_outcome(p_workspace uuid, p_client text, p_item sync_item, p_outcome jsonb) returns json
language plpgsql stable as $$
begin
  return coalesce(case p_outcome->>'outcome'
    when 'merged' then (
      select left(p_outcome::text, -1) || ',"deleted":' || (c.value is null)::text || ',"value":' || coalesce(c.value::text, 'null') || '}'
      from sync_change c
      where c.workspace_id = p_workspace and c.scope_type = p_item.scope_type and c.scope_id = p_item.scope_id
        and c.server_epoch = (p_outcome->>'epoch')::bigint and c.client_id = p_client and c.mutation_id = p_item.id)
    when 'diverged' then (
      select left(p_outcome::text, -1) || ',"deleted":' || (d.theirs is null)::text || ',"value":' || coalesce(d.theirs::text, 'null') || '}'
      from sync_divergence d
      where d.workspace_id = p_workspace and d.divergence_id = typeid_uuid('div', p_outcome->>'divergence_id')
        and d.mine_client_id = p_client and d.mine_mutation_id = p_item.id) end, p_outcome::text)::json;
end $$;

-- What became of the mutations of a call, in its order. What was merged or diverged comes with the true state until those
-- are 4 MiB together, and without it from then on, as what the log has no more: else 500 small edits of one large document
-- would be answered by 128 MB. A loop, so that no value behind the cut is read.
create function sync_results(p_workspace uuid, p_client text, p_items sync_item[], p_last bigint) returns json
language plpgsql stable as $$
declare
  item record;
  told text;
  total bigint := 0;
  results text[] := '{}';
begin
  for item in
    select i as own, i.id, i.id > p_last as is_fresh, m.outcome, m.outcome->>'outcome' in ('merged', 'diverged') as has_state
    from unnest(p_items) i
    left join sync_mutation m on m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id = i.id
    order by i.n
  loop
    told := item.outcome::text;
    if item.has_state and total < 4194304 then
      told := sync_outcome(p_workspace, p_client, item.own, item.outcome)::text;
      total := total + octet_length(told);
    end if;
    results := array_append(results, case when item.is_fresh then '{"id":' || item.id || ',' || substr(told, 2)
      else '{"id":' || item.id || ',"outcome":"duplicate","original":' || coalesce(told, 'null') || '}' end);
  end loop;
  return '[' || array_to_string(results, ',') || ']';
end $$;

-- As before. What a duplicate became is told without the state: the round that answers the client comes after this one.
create or replace function sync_stale_results(p_workspace uuid, p_client text, p_items sync_item[], p_last bigint, p_retention interval)
returns json language sql stable as $$
  with found as (
    select s.*, b.value as base, b.is_known, i.clock as own_clock,
           sum(coalesce(octet_length(s.value::text), 0) + coalesce(octet_length(b.value::text), 0)) over (order by s.n) as total
    from sync_stale(p_workspace, p_client, array(select i from unnest(p_items) i where i.id > p_last), true) s
    join unnest(p_items) i on i.n = s.n
    left join lateral (select t.value, true as is_known from sync_base(p_workspace, i) t) b on true
  ), cut as (select coalesce(min(f.n), 9223372036854775807) as n from found f where f.total > 4194304)
  select json_agg(case
    when i.id <= p_last then json_build_object('id', i.id, 'outcome', 'duplicate', 'original', to_json(m.outcome))
    when i.n >= cut.n then json_build_object('id', i.id, 'outcome', 'retry')
    when i.reject_code is not null then json_build_object('id', i.id, 'outcome', 'rejected')
    when f.n is null then json_build_object('id', i.id, 'outcome', 'current')
    else json_build_object('id', i.id, 'outcome', 'stale', 'version', f.version, 'value', f.value, 'clock', f.clock,
                           'deleted', f.deleted, 'client_id', f.client_id, 'mutation_id', f.mutation_id, 'base', f.base,
                           'base_known', coalesce(f.is_known, false),
                           'forgotten', sync_forgotten(p_workspace, f.clock, f.own_clock, p_retention)) end order by i.n)
  from unnest(p_items) i
  cross join cut
  left join found f on f.n = i.n
  left join sync_mutation m on m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id = i.id
$$;

-- As before; `asks` says which of the steps a push has anything to do for.
create or replace function sync_push(p_workspace uuid, p_client text, p_session uuid, p_acked bigint, p_mutations json, p_values json,
                          p_mine json default null, p_else_diverge boolean default false,
                          p_client_retention_ms bigint default 7776000000, p_session_ttl_ms bigint default 86400000,
                          p_divergence_retention_ms bigint default 7776000000)
returns table (last_mutation_id bigint, results json, scopes json, is_stale boolean) language plpgsql as $$
#variable_conflict use_column
declare
  caller_role text := require_workspace_role(p_workspace, 'editor');
  bounds sync_bounds := row(sync_ms(p_client_retention_ms), sync_ms(p_session_ttl_ms), sync_ms(p_divergence_retention_ms));
  client sync_client := sync_lock_client(p_workspace, p_client, p_session, bounds);
  last bigint := client.last_mutation_id;
  items sync_item[] := sync_items(p_mutations, p_values, p_mine);
  fresh sync_item[] := array(select i from unnest(items) i where i.id > last order by i.n);
  newest bigint := last + cardinality(fresh);
  asks record;
  made text[] := '{}';
  locked sync_scope[];
  stands sync_stand[];
  faulty bigint[];
  writes sync_item[];
  diverged jsonb := '{}';
begin
  select bool_or(f.id <> last + f.ordinality) as gap,
         bool_or(f.entity_type in ('collection', 'environment')) as things,
         bool_or(f.clock - p_client <> '{}') as others,
         bool_or(f.decision = 'diverge') as diverging,
         count(distinct (f.scope_type, f.scope_id)) filter (where f.reject_code is null) as scopes
  into asks from unnest(fresh) with ordinality f;
  if asks.gap then
    perform refuse('DR409', 'mutation-gap', format('The next mutation of this client is %s.', last + 1), (last + 1)::text);
  end if;
  if p_acked is not null then
    delete from sync_mutation m where m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id <= p_acked;
  end if;
  if asks.things then
    made := sync_make_things(p_workspace, fresh);
  end if;
  locked := sync_lock_scopes(p_workspace, fresh);
  if cardinality(locked) < asks.scopes then
    fresh := sync_without_scope(fresh, locked);
  end if;
  if asks.others then
    fresh := sync_without_forged(p_workspace, p_client, fresh);
  end if;
  stands := sync_stands(p_workspace, fresh);
  faulty := array(
    select f.n from unnest(fresh) f left join unnest(stands) s on s.n = f.n
    where f.reject_code is null
      and sync_is_stale(p_client, false, f.expect_version, f.base_version, s.version, s.client_id, s.foreign_version));
  if cardinality(faulty) > 0 and not p_else_diverge then
    items := array(select coalesce(f, i) from unnest(items) i left join unnest(fresh) f on f.n = i.n order by i.n);
    results := sync_stale_results(p_workspace, p_client, items, last, bounds.client_retention);
    perform sync_unmake_things(p_workspace, made);
    return query select last, results, sync_scopes_after(locked, '{}'), true;
    return;
  end if;
  writes := fresh;
  if asks.diverging or cardinality(faulty) > 0 then
    fresh := array(select case when f.n = any (faulty) then sync_diverging(f) else f end from unnest(fresh) f order by f.n);
    diverged := sync_kept(p_workspace, p_client, fresh, bounds.divergence_retention);
    writes := array(select f from unnest(fresh) f where f.decision is distinct from 'diverge' order by f.n);
  end if;
  -- The epochs are owed to the log: the outcome of each mutation is kept in the same statement that numbers it.
  insert into sync_mutation (workspace_id, client_id, mutation_id, outcome)
  select p_workspace, p_client, f.id, case
    when f.reject_code is not null then jsonb_build_object('outcome', 'rejected', 'code', f.reject_code, 'detail', f.reject_detail)
    when diverged ? f.n::text then diverged->f.n::text
    else jsonb_build_object('outcome', case f.decision when 'merge' then 'merged' else 'applied' end, 'version', a.epoch, 'epoch', a.epoch) end
  from unnest(fresh) f left join sync_apply(p_workspace, p_client, writes, locked, stands) a on a.n = f.n;
  update sync_client c set last_mutation_id = newest, session_id = coalesce(p_session, c.session_id), seen_at = now(),
                           acked_mutation_id = case when p_acked is null then c.acked_mutation_id else greatest(c.acked_mutation_id, least(p_acked, newest)) end
  where c.workspace_id = p_workspace and c.client_id = p_client;
  if p_session is not null then
    update sync_session s set seen_at = now() where s.workspace_id = p_workspace and s.session_id = p_session;
  end if;
  return query select newest, sync_results(p_workspace, p_client, items, last), sync_scopes_after(locked, writes), false;
end $$;

-- The mutations; those of a scope that is not among the locked ones are refused.
create function sync_without_scope(p_items sync_item[], p_scopes sync_scope[]) returns sync_item[] language sql stable as $$
  select array_agg(case when i.reject_code is null and l.scope_id is null
                   then sync_refused(i, 'unknown-scope', 'There is no such scope in this workspace.') else i end order by i.n)
  from unnest(p_items) i left join unnest(p_scopes) l on l.scope_type = i.scope_type and l.scope_id = i.scope_id
$$;

-- The mutations; those whose clock has seen what has not happened are refused.
create function sync_without_forged(p_workspace uuid, p_client text, p_items sync_item[]) returns sync_item[] language sql stable as $$
  select array_agg(case when i.n = any (f.forged)
                   then sync_refused(i, 'invalid-clock', 'The clock has seen a mutation that has not happened.') else i end order by i.n)
  from sync_forged(p_workspace, p_client, p_items) as f (forged) cross join unnest(p_items) i
$$;

-- Keeps both sides of the mutations that are not to be written: the outcome of each, by its n.
create function sync_kept(p_workspace uuid, p_client text, p_items sync_item[], p_retention interval) returns jsonb language sql as $$
  select coalesce(jsonb_object_agg(d.n, jsonb_build_object('outcome', 'diverged', 'version', d.version, 'epoch', d.version,
                                                           'divergence_id', typeid_text('div', d.divergence_id))), '{}')
  from sync_diverge(p_workspace, p_client, p_items, p_retention) d
$$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
