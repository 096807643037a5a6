-- migrate:up

-- A write that met another and was not applied: both sides, until somebody chooses or the retention is over.
create table sync_divergence (
  workspace_id       uuid        not null,
  divergence_id      uuid        not null default uuid_v7(),
  scope_type         text        not null,
  scope_id           text        not null,
  entity_type        text        not null,
  entity_id          text        not null,
  -- What mine was made from; base is NULL if the log has it no more, or if it was deleted.
  base_version       bigint,
  base               json,
  -- NULL: a delete.
  mine               json,
  mine_clock         jsonb       not null,
  mine_user_id       uuid        not null,
  mine_client_id     text        not null,
  mine_mutation_id   bigint      not null,
  -- What stood and stands: version 0 and nobody's if there was nothing.
  version            bigint      not null,
  theirs             json,
  theirs_clock       jsonb       not null,
  theirs_user_id     uuid,
  theirs_client_id   text,
  theirs_mutation_id bigint,
  created_at         timestamptz not null default now(),
  resolved_at        timestamptz,
  resolved_by        uuid,
  resolved_take      text        constraint sync_divergence_take_check check (resolved_take in ('mine', 'theirs', 'value')),
  resolved_version   bigint,
  -- The request that resolved it: the same one, sent again after a lost answer, is told the same.
  resolved_request   text,
  constraint sync_divergence_pkey primary key (workspace_id, divergence_id),
  constraint sync_divergence_scope_fkey foreign key (workspace_id, scope_type, scope_id) references sync_scope on delete cascade
);
-- Serves: the open ones of a workspace, newest first.
create index sync_divergence_open_idx on sync_divergence (workspace_id, created_at desc, divergence_id desc) where resolved_at is null;
-- Serves: the open ones of a scope, newest first, and the cascade from it.
create index sync_divergence_scope_idx on sync_divergence (workspace_id, scope_type, scope_id, created_at desc, divergence_id desc);
-- Serves: how many of a client's are open.
create index sync_divergence_client_idx on sync_divergence (workspace_id, mine_client_id) where resolved_at is null;
-- Serves: the removal of those whose time is over.
create index sync_divergence_age_idx on sync_divergence (workspace_id, created_at);

-- One sitting of a client: its name, what it can, and how far it has read. A client has one at a time.
create table sync_session (
  workspace_id uuid        not null,
  session_id   uuid        not null,
  client_id    text        not null,
  user_id      uuid        not null,
  name         text        not null constraint sync_session_name_check check (length(name) between 1 and 100),
  capabilities text[]      not null default '{}' constraint sync_session_capabilities_check check (cardinality(capabilities) <= 32),
  -- [{"type","id","generation","epoch"}]: where the client stood in each stream when it began.
  positions    jsonb       not null default '[]',
  seen_at      timestamptz not null default now(),
  created_at   timestamptz not null default now(),
  constraint sync_session_pkey primary key (workspace_id, session_id),
  constraint sync_session_client_key unique (workspace_id, client_id),
  constraint sync_session_client_fkey foreign key (workspace_id, client_id) references sync_client on delete cascade
);
-- Serves: the sessions of a workspace, newest first.
create index sync_session_list_idx on sync_session (workspace_id, created_at desc, session_id desc);

alter table sync_client add column acked_mutation_id bigint not null default 0;

grant select, insert, update, delete on sync_divergence, sync_session to drey_app;

alter table sync_divergence enable row level security, force row level security;
create policy sync_divergence_tenant on sync_divergence
  using (workspace_id = app_workspace()) with check (workspace_id = app_workspace());
-- A divergence is as visible as its scope: a user's own to him alone, and to a key of a project those of the project.
-- Restrictive, and by way of the scope's own policies.
create policy sync_divergence_scope on sync_divergence as restrictive
  using (exists (select 1 from sync_scope s where s.workspace_id = sync_divergence.workspace_id
                 and s.scope_type = sync_divergence.scope_type and s.scope_id = sync_divergence.scope_id
                 and (s.user_id is null or s.user_id = app_user())));
alter table sync_session enable row level security, force row level security;
create policy sync_session_tenant on sync_session
  using (workspace_id = app_workspace()) with check (workspace_id = app_workspace());

-- What a round of a push knows besides its mutations. Milliseconds, from the configuration of the Worker.
create type sync_bounds as (client_retention interval, session_ttl interval, divergence_retention interval);

create function sync_ms(p_ms bigint) returns interval language sql immutable strict parallel safe
as $$ select make_interval(secs => p_ms / 1000.0) $$;

-- The version of its entity that a decision was made for (NULL: none was, the base counts), the decision ('apply', 'merge',
-- 'diverge'), and value and clock that the client sent, if others are to be written.
alter type sync_item add attribute expect_version bigint, add attribute decision text, add attribute mine json,
  add attribute mine_clock jsonb;

drop function sync_items(json, json);
-- As before. A third array has what the clients sent where a merge is written instead, null elsewhere.
create function sync_items(p_mutations json, p_values json, p_mine json) returns sync_item[] language sql immutable as $$
  select coalesce(array_agg(row(m.id, m.scope_type, m.scope_id, m.entity_type, m.entity_id, m.op, m.base_version, m.clock,
                                case when m.op = 'upsert' then m.value end, m.reject_code, m.reject_detail, m.n,
                                m.expect_version, m.decision,
                                case when json_typeof(m.mine) <> 'null' then m.mine end, m.mine_clock)::sync_item
                            order by m.n), '{}')
  from rows from (
    json_to_recordset(p_mutations) as (id bigint, scope_type text, scope_id text, entity_type text, entity_id text, op text,
                                       base_version bigint, clock jsonb, reject_code text, reject_detail text,
                                       expect_version bigint, decision text, mine_clock jsonb),
    json_array_elements(p_values), json_array_elements(p_mine)
  ) with ordinality as m (id, scope_type, scope_id, entity_type, entity_id, op, base_version, clock, reject_code, reject_detail,
                          expect_version, decision, mine_clock, value, mine, n)
$$;

drop function sync_lock_client(uuid, text, uuid);
-- As before; who was away longer than clients are remembered begins again under another id, and a session that is named
-- must be one of this client.
create function sync_lock_client(p_workspace uuid, p_client text, p_session uuid, p_bounds sync_bounds) returns sync_client
language plpgsql as $$
declare
  client sync_client;
begin
  insert into sync_client (workspace_id, client_id, user_id) values (p_workspace, p_client, app_user())
  on conflict on constraint sync_client_pkey do nothing;
  select * into client from sync_client c where c.workspace_id = p_workspace and c.client_id = p_client for update;
  if client.user_id <> app_user() then
    perform refuse('DR403', 'client-mismatch', 'This client id belongs to another user.');
  elsif client.seen_at < now() - p_bounds.client_retention then
    perform refuse('DR409', 'client-expired', 'This client was away longer than it is remembered: begin again under another id.');
  elsif p_session is not null and not exists (
    select 1 from sync_session s where s.workspace_id = p_workspace and s.session_id = p_session and s.client_id = p_client
      and s.user_id = app_user() and s.seen_at > now() - p_bounds.session_ttl) then
    perform refuse('DR409', 'session-expired', 'This client has no such session, or it is over: open another.');
  end if;
  return client;
end $$;

-- The mutations whose clock has seen what has not happened: an entry above the last mutation of its client. Entries of
-- clients that nobody remembers are left to the comparison, which leaves them out.
create function sync_forged(p_workspace uuid, p_client text, p_items sync_item[]) returns bigint[] language sql stable as $$
  select coalesce(array_agg(distinct i.n), '{}')
  from unnest(p_items) i cross join lateral jsonb_each_text(i.clock) e
  join sync_client c on c.workspace_id = p_workspace and c.client_id = e.key
  where i.reject_code is null and e.key <> p_client and e.value::bigint > c.last_mutation_id
$$;

-- The same mutation, refused.
create function sync_refused(p_item sync_item, p_code text, p_detail text) returns sync_item language plpgsql immutable as $$
begin
  p_item.reject_code := p_code;
  p_item.reject_detail := p_detail;
  return p_item;
end $$;

drop function sync_stale(uuid, text, sync_item[]);
-- As before; a mutation with an expected version is stale if another one stands, unless only bases are asked about.
create function sync_stale(p_workspace uuid, p_client text, p_items sync_item[], p_by_base boolean)
returns table (n bigint, version bigint, value json, clock jsonb, deleted boolean, client_id text, mutation_id bigint)
language sql stable as $$
  select i.n, coalesce(s.version, 0), s.value, coalesce(s.clock, '{}'), coalesce(s.deleted, true), s.client_id, s.mutation_id
  from unnest(p_items) i
  left join lateral (
    select t.* from sync_state t
    where t.workspace_id = p_workspace and t.scope_type = i.scope_type and t.scope_id = i.scope_id
      and t.entity_type = i.entity_type and t.entity_id = i.entity_id limit 1
  ) s on true
  where i.reject_code is null and case
    when i.expect_version is not null and not p_by_base then i.expect_version <> coalesce(s.version, 0)
    else coalesce(i.base_version, 0) <> coalesce(s.version, 0)
     and not coalesce(s.client_id = p_client and s.foreign_version <= coalesce(i.base_version, 0)
                      and coalesce(i.base_version, 0) < s.version, false) end
$$;

-- The value of an entity at a version, if the log still has it.
create function sync_base(p_workspace uuid, p_item sync_item) returns table (value json) language sql stable as $$
  select c.value from sync_change c
  where c.workspace_id = p_workspace and c.scope_type = p_item.scope_type and c.scope_id = p_item.scope_id
    and c.server_epoch = p_item.base_version and c.entity_type = p_item.entity_type and c.entity_id = p_item.entity_id
$$;

-- The clients of two clocks that nobody remembers.
create function sync_forgotten(p_workspace uuid, p_one jsonb, p_other jsonb, p_retention interval) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(k.client), '[]')
  from (select jsonb_object_keys(p_one) as client union select jsonb_object_keys(p_other)) k
  where not exists (select 1 from sync_client c where c.workspace_id = p_workspace and c.client_id = k.client
                    and c.seen_at >= now() - p_retention)
$$;

-- A stored outcome as it is answered: with the true state where that is not what the client sent. The value comes from
-- the log and the divergence, byte for byte; both must be this very mutation's, whatever scope a repetition names.
create function sync_outcome(p_workspace uuid, p_client text, p_item sync_item, p_outcome jsonb) returns json language sql stable as $$
  select case p_outcome->>'outcome'
    when 'merged' then (
      select left(p_outcome::text, -1) || ',"deleted":' || (c.value is null)::text || ',"value":' || coalesce(c.value::text, 'null') || '}'
      from (select 1) one left join sync_change c
        on c.workspace_id = p_workspace and c.scope_type = p_item.scope_type and c.scope_id = p_item.scope_id
       and c.server_epoch = (p_outcome->>'epoch')::bigint and c.client_id = p_client and c.mutation_id = p_item.id)
    when 'diverged' then (
      select left(p_outcome::text, -1) || ',"deleted":' || (d.theirs is null)::text || ',"value":' || coalesce(d.theirs::text, 'null') || '}'
      from (select 1) one left join sync_divergence d
        on d.workspace_id = p_workspace and d.divergence_id = typeid_uuid('div', p_outcome->>'divergence_id')
       and d.mine_client_id = p_client and d.mine_mutation_id = p_item.id)
    else p_outcome::text end::json
$$;

drop function sync_stale_results(uuid, text, sync_item[], bigint);
-- The answers of a round that met a stale base: nothing was written. The stale ones carry what stands and what they were
-- made from, up to 4 MiB together; from the first on that does not fit, all are to be sent again.
create function sync_stale_results(p_workspace uuid, p_client text, p_items sync_item[], p_last bigint, p_retention interval)
returns json language sql stable as $$
  with found as (
    select s.*, b.value as base, b.is_known, i.clock as own_clock,
           sum(coalesce(octet_length(s.value::text), 0) + coalesce(octet_length(b.value::text), 0)) over (order by s.n) as total
    from sync_stale(p_workspace, p_client, array(select i from unnest(p_items) i where i.id > p_last), true) s
    join unnest(p_items) i on i.n = s.n
    left join lateral (select t.value, true as is_known from sync_base(p_workspace, i) t) b on true
  ), cut as (select coalesce(min(f.n), 9223372036854775807) as n from found f where f.total > 4194304)
  select json_agg(case
    when i.id <= p_last then json_build_object('id', i.id, 'outcome', 'duplicate', 'original',
                                               sync_outcome(p_workspace, p_client, i, m.outcome))
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

-- Keeps both sides of the mutations that are not to be written. Called before anything of the push is written, so that what
-- stands is another's write and never the client's own next one.
create function sync_diverge(p_workspace uuid, p_client text, p_items sync_item[], p_retention interval)
returns table (n bigint, divergence_id uuid, version bigint) language plpgsql as $$
#variable_conflict use_column
begin
  if not exists (select 1 from unnest(p_items) i where i.decision = 'diverge' and i.reject_code is null) then
    return;
  end if;
  delete from sync_divergence d where (d.workspace_id, d.divergence_id) in (
    select o.workspace_id, o.divergence_id from sync_divergence o
    where o.workspace_id = p_workspace and o.created_at <= now() - p_retention limit 100 for update skip locked);
  return query
  with met as materialized (
    select i.n, uuid_v7() as id, i as item, i.base_version, b.value as base, s.version, s.value, s.clock, s.client_id, s.mutation_id
    from unnest(p_items) i
    left join lateral (
      select t.* from sync_state t
      where t.workspace_id = p_workspace and t.scope_type = i.scope_type and t.scope_id = i.scope_id
        and t.entity_type = i.entity_type and t.entity_id = i.entity_id limit 1
    ) s on true
    left join lateral (select t.value from sync_base(p_workspace, i) t) b on true
    where i.decision = 'diverge' and i.reject_code is null
  ), kept as (
    insert into sync_divergence (workspace_id, divergence_id, scope_type, scope_id, entity_type, entity_id, base_version, base,
                                 mine, mine_clock, mine_user_id, mine_client_id, mine_mutation_id,
                                 version, theirs, theirs_clock, theirs_user_id, theirs_client_id, theirs_mutation_id)
    select p_workspace, m.id, (m.item).scope_type, (m.item).scope_id, (m.item).entity_type, (m.item).entity_id, m.base_version, m.base,
           (m.item).value, (m.item).clock, app_user(), p_client, (m.item).id,
           coalesce(m.version, 0), m.value, coalesce(m.clock, '{}'), c.user_id, m.client_id, m.mutation_id
    from met m left join sync_client c on c.workspace_id = p_workspace and c.client_id = m.client_id
  )
  select m.n, m.id, coalesce(m.version, 0) from met m;
end $$;

drop function sync_push(uuid, text, uuid, bigint, json, json);
-- One round of a push, in one call: p_mutations an array of the flat fields of sync_item, p_values an array of the values to
-- be written (null for none), p_mine one of the values the client sent where those differ; all in order. Mutations that the
-- caller has rejected come with reject_code and are only recorded.
-- Round 1 has no decisions. In round 2 each mutation of an entity that was stale has one, made for `expect_version`. Both
-- write nothing if anything is stale, and tell what stands. Round 3 (p_else_diverge) always writes: what is stale diverges.
create function sync_push(p_workspace uuid, p_client text, p_session uuid, p_acked bigint, p_mutations json, p_values json,
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
  made text[];
  locked sync_scope[];
  faulty bigint[];
  writes sync_item[];
  diverged jsonb;
begin
  if exists (select 1 from unnest(fresh) with ordinality as f where f.id <> last + f.ordinality) then
    perform refuse('DR409', 'mutation-gap', format('The next mutation of this client is %s.', last + 1), (last + 1)::text);
  end if;
  delete from sync_mutation m where m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id <= p_acked;
  made := sync_make_things(p_workspace, fresh);
  locked := sync_lock_scopes(p_workspace, fresh);
  fresh := array(
    select case when f.reject_code is null and l.scope_id is null
           then sync_refused(f, 'unknown-scope', 'There is no such scope in this workspace.') else f end
    from unnest(fresh) f left join unnest(locked) l on l.scope_type = f.scope_type and l.scope_id = f.scope_id order by f.n);
  faulty := sync_forged(p_workspace, p_client, fresh);
  if cardinality(faulty) > 0 then
    fresh := array(
      select case when f.n = any (faulty)
             then sync_refused(f, 'invalid-clock', 'The clock has seen a mutation that has not happened.') else f end
      from unnest(fresh) f order by f.n);
  end if;
  faulty := array(select s.n from sync_stale(p_workspace, p_client, fresh, false) s);
  if cardinality(faulty) > 0 and not p_else_diverge then
    items := array(select coalesce(f, i) from unnest(items) i left join unnest(fresh) f on f.n = i.n order by i.n);
    results := sync_stale_results(p_workspace, p_client, items, last, bounds.client_retention);
    scopes := sync_scopes_now(p_workspace, locked);
    perform sync_unmake_things(p_workspace, made);
    return query select last, results, scopes, true;
    return;
  end if;
  if cardinality(faulty) > 0 then
    fresh := array(select case when f.n = any (faulty) then sync_diverging(f) else f end from unnest(fresh) f order by f.n);
  end if;
  select coalesce(jsonb_object_agg(d.n, jsonb_build_object('outcome', 'diverged', 'version', d.version, 'epoch', d.version,
                                                           'divergence_id', typeid_text('div', d.divergence_id))), '{}')
  into diverged from sync_diverge(p_workspace, p_client, fresh, bounds.divergence_retention) d;
  writes := array(select f from unnest(fresh) f where f.reject_code is null and f.decision is distinct from 'diverge' order by f.n);
  -- The epochs are owed to the log: the outcome of each mutation is kept in the same statement that numbers it.
  insert into sync_mutation (workspace_id, client_id, mutation_id, outcome)
  select p_workspace, p_client, f.id, case
    when f.reject_code is not null then jsonb_build_object('outcome', 'rejected', 'code', f.reject_code, 'detail', f.reject_detail)
    when diverged ? f.n::text then diverged->f.n::text
    else jsonb_build_object('outcome', case f.decision when 'merge' then 'merged' else 'applied' end, 'version', a.epoch, 'epoch', a.epoch) end
  from unnest(fresh) f left join sync_apply(p_workspace, p_client, writes, locked) a on a.n = f.n;
  update sync_client c set last_mutation_id = newest, session_id = coalesce(p_session, c.session_id), seen_at = now(),
                           acked_mutation_id = case when p_acked is null then c.acked_mutation_id else greatest(c.acked_mutation_id, least(p_acked, newest)) end
  where c.workspace_id = p_workspace and c.client_id = p_client;
  update sync_session s set seen_at = now() where s.workspace_id = p_workspace and s.session_id = p_session;
  return query
  select newest,
         (select coalesce(json_agg(case when i.id > last
                    then ('{"id":' || i.id || ',' || substr(sync_outcome(p_workspace, p_client, i, m.outcome)::text, 2))::json
                    else json_build_object('id', i.id, 'outcome', 'duplicate', 'original',
                                           sync_outcome(p_workspace, p_client, i, m.outcome)) end order by i.n), '[]')
          from unnest(items) i
          left join sync_mutation m on m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id = i.id),
         sync_scopes_now(p_workspace, locked), false;
end $$;

-- The same mutation, to be kept beside what stands: it is what the client sent, not what was to be written instead.
create function sync_diverging(p_item sync_item) returns sync_item language plpgsql immutable as $$
begin
  if p_item.decision = 'merge' then
    p_item.value := p_item.mine;
    p_item.clock := coalesce(p_item.mine_clock, p_item.clock);
  end if;
  p_item.decision := 'diverge';
  return p_item;
end $$;

-- What a resolver is told. `answer`: 'resolved'; 'lost' to who came first, whose resolution is told; 'moved' if the entity
-- is no longer at the version it was resolved for, and `version` is the one it is at.
create type sync_resolved as (
  replayed boolean, revision bigint, authz_epoch bigint, answer text, request text,
  divergence_id uuid, scope_type text, scope_id text, entity_type text, entity_id text,
  take text, resolved_by uuid, resolved_at timestamptz, version bigint, epoch bigint, generation bigint);

create function sync_resolved_answer(p_answer text, d sync_divergence, p_version bigint) returns sync_resolved language sql stable as $$
  select row(false, k.revision, k.authz_epoch, p_answer, d.resolved_request, d.divergence_id, d.scope_type, d.scope_id, d.entity_type,
             d.entity_id, d.resolved_take, d.resolved_by, d.resolved_at, p_version, s.epoch, s.generation)::sync_resolved
  from workspace_now(d.workspace_id) k
  join sync_scope s on s.workspace_id = d.workspace_id and s.scope_type = d.scope_type and s.scope_id = d.scope_id
$$;

-- The divergence, its scope locked before it, as a push locks.
create function sync_lock_divergence(p_workspace uuid, p_divergence uuid, p_retention interval) returns sync_divergence
language plpgsql as $$
declare
  d sync_divergence;
begin
  perform 1 from sync_scope s
  where (s.workspace_id, s.scope_type, s.scope_id) = (
    select o.workspace_id, o.scope_type, o.scope_id from sync_divergence o
    where o.workspace_id = p_workspace and o.divergence_id = p_divergence) for no key update;
  select * into d from sync_divergence o
  where o.workspace_id = p_workspace and o.divergence_id = p_divergence and o.created_at > now() - p_retention for update;
  if not found then
    perform refuse('DR404', 'not-found', 'There is no such divergence.');
  end if;
  return d;
end $$;

-- The later of two clocks, entry by entry.
create function sync_clock_join(p_one jsonb, p_other jsonb) returns jsonb language sql immutable as $$
  select coalesce(jsonb_object_agg(e.key, e.count), '{}')
  from (select key, max(value::bigint) as count
        from (select * from jsonb_each_text(p_one) union all select * from jsonb_each_text(p_other)) both_clocks group by key) e
$$;

-- Ends a divergence by a write of its own, whoever wins: as a mutation of a client that is the divergence itself, so that
-- its place in the log is the record of it. A client cannot choose such an id.
create function sync_resolve(p_method text, p_route text, p_key text, p_fingerprint bytea, p_request text,
                             p_workspace uuid, p_divergence uuid, p_take text, p_value json, p_version bigint,
                             p_retention_ms bigint) returns sync_resolved language plpgsql as $$
declare
  stored jsonb := idempotency_begin(p_method, p_route, p_key, p_fingerprint);
  caller_role text := require_workspace_role(p_workspace, 'editor');
  d sync_divergence;
  s sync_state;
  name text := typeid_text('div', p_divergence);
  written record;
  answer sync_resolved;
begin
  if stored is not null then
    answer := jsonb_populate_record(null::sync_resolved, stored);
    answer.replayed := answer.request <> p_request;
    return answer;
  end if;
  d := sync_lock_divergence(p_workspace, p_divergence, sync_ms(p_retention_ms));
  if d.resolved_at is not null then
    -- The Worker repeats a request whose answer was lost: its own resolution is no other's.
    return sync_resolved_answer(case when d.resolved_request = p_request then 'resolved' else 'lost' end, d, d.resolved_version);
  end if;
  select t.* into s from sync_state t
  where t.workspace_id = p_workspace and t.scope_type = d.scope_type and t.scope_id = d.scope_id
    and t.entity_type = d.entity_type and t.entity_id = d.entity_id;
  -- What the diverging client itself has written since is in its hands; anybody else's work is not overwritten unseen.
  if p_take <> 'theirs' and coalesce(s.version, 0) <> coalesce(p_version, d.version)
     and not coalesce(p_version is null and s.client_id = d.mine_client_id and s.foreign_version <= d.version, false) then
    return sync_resolved_answer('moved', d, coalesce(s.version, 0));
  end if;
  insert into sync_client (workspace_id, client_id, user_id, last_mutation_id) values (p_workspace, name, app_user(), 1)
  on conflict on constraint sync_client_pkey do nothing;
  select a.* into written from sync_apply(p_workspace, name, array[sync_resolution(d, s, p_take, p_value, name)],
    array(select l from sync_scope l where l.workspace_id = p_workspace and l.scope_type = d.scope_type and l.scope_id = d.scope_id)) a;
  update sync_divergence o
  set resolved_at = now(), resolved_by = app_user(), resolved_take = p_take, resolved_version = written.epoch, resolved_request = p_request
  where o.workspace_id = p_workspace and o.divergence_id = p_divergence returning * into d;
  perform audit(p_request, 'divergence.resolved', (select w.org_id from workspace w where w.workspace_id = p_workspace), p_workspace,
                'divergence', p_divergence, jsonb_build_object('take', p_take, 'version', written.epoch));
  answer := sync_resolved_answer('resolved', d, written.epoch);
  perform idempotency_end(p_method, p_route, p_key, p_fingerprint, to_jsonb(answer));
  return answer;
end $$;

-- The mutation that resolves a divergence: what is taken, with a clock that has seen both sides and what stands now.
create function sync_resolution(d sync_divergence, s sync_state, p_take text, p_value json, p_name text) returns sync_item
language plpgsql stable as $$
declare
  value json := case p_take when 'mine' then d.mine when 'theirs' then s.value else p_value end;
  clock jsonb := sync_clock_join(sync_clock_join(d.mine_clock, d.theirs_clock), coalesce(s.clock, '{}')) || jsonb_build_object(p_name, 1);
  item sync_item;
begin
  item.id := 1;
  item.n := 1;
  item.scope_type := d.scope_type;
  item.scope_id := d.scope_id;
  item.entity_type := d.entity_type;
  item.entity_id := d.entity_id;
  item.op := case when value is null then 'delete' else 'upsert' end;
  item.value := value;
  item.clock := clock;
  return item;
end $$;

-- How many of a client's writes wait for somebody to choose.
create function sync_open_divergences(p_workspace uuid, p_client text, p_retention_ms bigint) returns bigint language sql stable as $$
  select count(*) from sync_divergence d
  where d.workspace_id = p_workspace and d.mine_client_id = p_client and d.resolved_at is null and d.created_at > now() - sync_ms(p_retention_ms)
$$;

-- How many epochs were written after these positions; NULL for no positions. Of another generation all are.
create function sync_behind(p_workspace uuid, p_positions jsonb) returns bigint language sql stable as $$
  select sum(case when s.generation = p.generation then greatest(s.epoch - p.epoch, 0) else coalesce(s.epoch, 0) end)::bigint
  from jsonb_to_recordset(p_positions) as p (type text, id text, generation bigint, epoch bigint)
  left join sync_scope s on s.workspace_id = p_workspace and s.scope_type = p.type and s.scope_id = p.id
$$;

-- What the opening of a session answers.
create type sync_session_written as (
  replayed boolean, revision bigint, authz_epoch bigint,
  session_id uuid, client_id text, user_id uuid, name text, capabilities text[], positions jsonb, seen_at timestamptz,
  created_at timestamptz);

-- Opens a session, in place of the one the client may have had. Reading is enough: who may not push still reads.
create function sync_session_open(p_method text, p_route text, p_key text, p_fingerprint bytea, p_request text,
                                  p_workspace uuid, p_session uuid, p_client text, p_name text, p_capabilities text,
                                  p_positions jsonb, p_client_retention_ms bigint, p_session_ttl_ms bigint) returns sync_session_written
language plpgsql as $$
declare
  stored jsonb := idempotency_begin(p_method, p_route, p_key, p_fingerprint);
  caller_role text := require_workspace_role(p_workspace, 'viewer');
  known record := workspace_now(p_workspace);
  client sync_client;
  s sync_session;
  answer sync_session_written;
begin
  if stored is not null then
    answer := jsonb_populate_record(null::sync_session_written, stored);
    answer.replayed := answer.session_id <> p_session;
    return answer;
  end if;
  client := sync_lock_client(p_workspace, p_client, null, row(sync_ms(p_client_retention_ms), null, null)::sync_bounds);
  delete from sync_session o where o.workspace_id = p_workspace and o.client_id = p_client and o.session_id <> p_session;
  -- Those whose time is over are gone to everybody; some are taken away in passing.
  delete from sync_session o where (o.workspace_id, o.session_id) in (
    select e.workspace_id, e.session_id from sync_session e
    where e.workspace_id = p_workspace and e.seen_at <= now() - sync_ms(p_session_ttl_ms) limit 100 for update skip locked);
  insert into sync_session as o (workspace_id, session_id, client_id, user_id, name, capabilities, positions)
  values (p_workspace, p_session, p_client, app_user(), p_name, string_to_array(p_capabilities, ','), p_positions)
  on conflict on constraint sync_session_pkey do update set seen_at = now()
  returning * into s;
  update sync_client c set seen_at = now(), session_id = p_session where c.workspace_id = p_workspace and c.client_id = p_client;
  answer := row(false, known.revision, known.authz_epoch, s.session_id, s.client_id, s.user_id, s.name, s.capabilities, s.positions,
                s.seen_at, s.created_at);
  perform idempotency_end(p_method, p_route, p_key, p_fingerprint, to_jsonb(answer));
  return answer;
end $$;

-- Ends a session: one's own, or as an admin anybody's.
create function sync_session_end(p_request text, p_workspace uuid, p_session uuid) returns write_done language plpgsql as $$
declare
  caller_role text := require_workspace_role(p_workspace, 'viewer');
  known record := workspace_now(p_workspace);
  s sync_session;
begin
  select * into s from sync_session o where o.workspace_id = p_workspace and o.session_id = p_session for update;
  if not found then
    perform refuse('DR404', 'not-found', 'There is no such session.');
  elsif s.user_id <> app_user() and caller_role <> 'admin' then
    perform refuse('DR403', 'forbidden', 'This session is another user''s.');
  end if;
  delete from sync_session o where o.workspace_id = p_workspace and o.session_id = p_session;
  return row(false, known.revision, known.authz_epoch)::write_done;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
