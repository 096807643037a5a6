-- migrate:up

-- The answers of creates that carried an Idempotency-Key, for 24 hours.
create table idempotency (
  user_id     uuid        not null,
  method      text        not null,
  route       text        not null,
  idem_key    text        not null,
  fingerprint bytea       not null,
  answer      jsonb       not null,
  created_at  timestamptz not null default now(),
  constraint idempotency_pkey primary key (user_id, method, route, idem_key)
);
-- Serves: the removal of a principal's expired keys, and their count.
create index idempotency_age_idx on idempotency (user_id, created_at);

grant select, insert, update, delete on idempotency to drey_app, drey_definer;

alter table idempotency enable row level security, force row level security;
create policy idempotency_tenant on idempotency
  using (user_id = app_user()) with check (user_id = app_user());

-- NULL: go on and create. Otherwise the answer that was given before. Refuses when the key is in another
-- request's hands, was used with another payload, or the principal holds 10,000 live keys.
create function idempotency_begin(p_method text, p_route text, p_key text, p_fingerprint bytea) returns jsonb
language plpgsql as $$
declare
  stored idempotency;
begin
  if p_key is null then
    return null;
  end if;
  -- A collision of hashes costs a stranger one retry and nothing else.
  if not pg_try_advisory_xact_lock(hashtextextended(concat_ws(chr(10), app_user(), p_method, p_route, p_key), 0)) then
    perform refuse('DR409', 'idempotency-in-flight', 'A request with this idempotency key is still in flight.');
  end if;
  select * into stored from idempotency i
  where i.user_id = app_user() and i.method = p_method and i.route = p_route and i.idem_key = p_key
    and i.created_at > now() - interval '24 hours';
  if found then
    if stored.fingerprint <> p_fingerprint then
      perform refuse('DR422', 'idempotency-mismatch', 'This idempotency key was used with another payload.');
    end if;
    return stored.answer;
  end if;
  delete from idempotency i where (i.user_id, i.method, i.route, i.idem_key) in (
    select e.user_id, e.method, e.route, e.idem_key from idempotency e
    where e.user_id = app_user() and e.created_at <= now() - interval '24 hours'
    limit 100 for update skip locked);
  if exists (select 1 from idempotency i where i.user_id = app_user()
             and i.created_at > now() - interval '24 hours' offset 9999 limit 1) then
    perform refuse('DR409', 'idempotency-keys-exhausted', 'You hold 10,000 live idempotency keys: wait for some to expire.');
  end if;
  return null;
end $$;

create function idempotency_end(p_method text, p_route text, p_key text, p_fingerprint bytea, p_answer jsonb) returns void
language sql as $$
  insert into idempotency as i (user_id, method, route, idem_key, fingerprint, answer)
  select app_user(), p_method, p_route, p_key, p_fingerprint, p_answer where p_key is not null
  on conflict on constraint idempotency_pkey
  do update set fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = excluded.created_at
$$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
