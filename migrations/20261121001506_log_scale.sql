-- migrate:up

-- The archive says up to which epoch it has taken the log of a scope; nobody can take that back. Until it does, that is 0 and
-- nothing is ever truncated. Called with the workspace as the caller's, as all of a tenant's rows are.
create function sync_archived(p_workspace uuid, p_type text, p_id text, p_through bigint) returns bigint language sql as $$
  update sync_scope s set archived_through = greatest(s.archived_through, least(p_through, s.epoch))
  where s.workspace_id = p_workspace and s.scope_type = p_type and s.scope_id = p_id returning s.archived_through
$$;

-- Truncates the log of a scope up to an epoch, never above what the archive has taken: first nobody reads below the new floor,
-- then at most p_limit changes go, oldest first. To be called until `removed` is less than that.
-- What stays below the floor is the newest change of each entity that was there at the floor: a snapshot of any epoch since
-- then is made of these. No row that stays is touched.
create function sync_truncate(p_workspace uuid, p_type text, p_id text, p_floor bigint, p_limit int default 10000)
returns table (floor bigint, removed bigint) language plpgsql as $$
#variable_conflict use_column
begin
  update sync_scope s set floor = greatest(s.floor, least(p_floor, s.archived_through))
  where s.workspace_id = p_workspace and s.scope_type = p_type and s.scope_id = p_id returning s.floor into floor;
  with old as (
    select c.server_epoch, c.operation,
           lead(c.server_epoch) over (partition by c.entity_type, c.entity_id order by c.server_epoch) as later
    from sync_change c
    where c.workspace_id = p_workspace and c.scope_type = p_type and c.scope_id = p_id and c.server_epoch <= sync_truncate.floor
  ), gone as (
    delete from sync_change c
    using (select o.server_epoch from old o where o.later is not null or o.operation = 'delete'
           order by o.server_epoch limit p_limit) o
    where c.workspace_id = p_workspace and c.scope_type = p_type and c.scope_id = p_id and c.server_epoch = o.server_epoch
    returning 1
  )
  select count(*) into removed from gone;
  return next;
end $$;

-- An archive's and an operator's, who own the tables: the Worker has no business with either.
revoke execute on function sync_archived, sync_truncate from public;

-- As before; what neither the log nor the divergences have any more is left out, instead of being told as deleted.
create or replace function sync_outcome(p_workspace uuid, p_client text, p_item sync_item, p_outcome jsonb) returns json
language sql stable as $$
  select coalesce(case p_outcome->>'outcome'
    when 'merged' then (
      select left(p_outcome::text, -1) || ',"deleted":' || (c.value is null)::text || ',"value":' || coalesce(c.value::text, 'null') || '}'
      from sync_change c
      where c.workspace_id = p_workspace and c.scope_type = p_item.scope_type and c.scope_id = p_item.scope_id
        and c.server_epoch = (p_outcome->>'epoch')::bigint and c.client_id = p_client and c.mutation_id = p_item.id)
    when 'diverged' then (
      select left(p_outcome::text, -1) || ',"deleted":' || (d.theirs is null)::text || ',"value":' || coalesce(d.theirs::text, 'null') || '}'
      from sync_divergence d
      where d.workspace_id = p_workspace and d.divergence_id = typeid_uuid('div', p_outcome->>'divergence_id')
        and d.mine_client_id = p_client and d.mine_mutation_id = p_item.id) end, p_outcome::text)::json
$$;

-- Serves what it served. With the scope's columns behind the entity's it never looks as good as the primary key to who reads the
-- log of a scope: by it, the tail of a log would cost the whole of it.
drop index sync_change_entity_idx;
create index sync_change_entity_idx on sync_change (workspace_id, entity_id, entity_type, scope_id, scope_type, server_epoch);

-- How the partitions of log and state fare, by what Postgres' own statistics say: rows are estimates, bytes are not.
create view sync_partition as
select p.parent, p.n, coalesce(nullif(u.n_live_tup, 0), greatest(c.reltuples, 0)::bigint) as rows, u.n_dead_tup as dead_rows,
       pg_table_size(c.oid) as table_bytes, pg_indexes_size(c.oid) as index_bytes, u.n_tup_ins as inserted, u.n_tup_upd as updated,
       u.n_tup_del as deleted, greatest(u.last_vacuum, u.last_autovacuum) as vacuumed_at,
       greatest(u.last_analyze, u.last_autoanalyze) as analyzed_at
from (select t.parent, n, to_regclass(format('%I_%s', t.parent, n)) as relid
      from (values ('sync_change'), ('sync_state')) t (parent) cross join generate_series(0, 15) n) p
join pg_class c on c.oid = p.relid
join pg_stat_all_tables u on u.relid = p.relid;

grant select on sync_partition to drey_app;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
