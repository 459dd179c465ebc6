#!/usr/bin/env python3
"""Records what psql 15 asks and what PostgreSQL 15 answers, as data/psql.jsonl, and its answers to what other clients
ask, as data/clients.jsonl.

Needs psql and a PostgreSQL 15 named by PGHOST, PGPORT and PGUSER (a superuser called clickmill) whose template has the
locale C.UTF-8. The database clickmill is dropped and created again with data/objects.sql, and with data/recorded.sql. One
line per statement: command or client, sql, columns (name, type), rows; an oid of a user object is written {oid:name}.
"""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# Longer answers list what only PostgreSQL has: all its functions, all its types.
MOST_ROWS = 100
COMMANDS = r"""
\d|\dt|\dv|\dm|\dtvm|\det|\di|\ds|\d+|\dt+|\dv+|\dm+|\dE|\dE+|\l|\l+|\dn|\dn+|\du|\du+|\dg|\dT|\df|\dx|\db|\dp|\do|\dy|\dD|\dL|\dc|\dC|\dO|\dA|\dF|\dRp|\dRs
\drds|\ddp|\des|\dew|\dX|\dP|\dd
\d clicks|\d+ clicks|\d pages|\d+ pages|\d recent|\d+ recent|\d page_views|\d+ page_views|\d pag*|\dt public.*|\d nothing|\dv rec*|\sv recent
""".strip().replace("\n", "|").split("|")
# The statements behind psql's completion with the tab key.
TAB = r"""
SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p') AND (c.relname) LIKE 'pa%' AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog') UNION ALL SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname LIKE 'pa%' AND n.nspname NOT LIKE E'pg\\_%' LIMIT 1000
SELECT c.relname, n.nspname FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p') AND (c.relname) LIKE 'pa%' AND n.nspname = 'public' LIMIT 1000
SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE (c.relname) LIKE 'pa%' AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog') UNION ALL SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname LIKE 'pa%' AND n.nspname NOT LIKE E'pg\\_%' LIMIT 1000
SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relkind IN ('v') AND (c.relname) LIKE 're%' AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog') UNION ALL SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname LIKE 're%' AND n.nspname NOT LIKE E'pg\\_%' LIMIT 1000
SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relkind IN ('m') AND (c.relname) LIKE 'p%' AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog') UNION ALL SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname LIKE 'p%' AND n.nspname NOT LIKE E'pg\\_%' LIMIT 1000
SELECT nspname FROM pg_catalog.pg_namespace  WHERE nspname LIKE 'p%' LIMIT 1000
SELECT rolname    FROM pg_catalog.pg_roles   WHERE rolname LIKE 'c%' LIMIT 1000
SELECT datname FROM pg_catalog.pg_database  WHERE datname LIKE 'c%' LIMIT 1000
SELECT a.attname, NULL::pg_catalog.text FROM pg_catalog.pg_attribute a, pg_catalog.pg_class c WHERE c.oid = a.attrelid and a.attnum > 0 and not a.attisdropped AND (a.attname) LIKE '%' AND c.relname = 'pages' AND pg_catalog.pg_table_is_visible(c.oid) LIMIT 1000
SELECT a.attname, NULL::pg_catalog.text FROM pg_catalog.pg_attribute a, pg_catalog.pg_class c WHERE c.oid = a.attrelid and a.attnum > 0 and not a.attisdropped AND (a.attname) LIKE 'pa%' AND c.relname = 'pages' AND pg_catalog.pg_table_is_visible(c.oid) LIMIT 1000
SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings  WHERE context IN ('user', 'superuser')    AND pg_catalog.lower(name) LIKE pg_catalog.lower('app%') LIMIT 1000
SELECT t.typname, NULL::pg_catalog.text FROM pg_catalog.pg_type t WHERE (t.typrelid = 0  OR (SELECT c.relkind = 'c'     FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid)) AND t.typname !~ '^_' AND (t.typname) LIKE 't%' AND pg_catalog.pg_type_is_visible(t.oid) UNION ALL SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname LIKE 't%' AND n.nspname NOT LIKE E'pg\\_%' LIMIT 1000
SELECT p.proname, NULL::pg_catalog.text FROM pg_catalog.pg_proc p WHERE p.prokind != 'p' AND (p.proname) LIKE 'f%' AND pg_catalog.pg_function_is_visible(p.oid) UNION ALL SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname LIKE 'f%' AND n.nspname NOT LIKE E'pg\\_%' LIMIT 1000
""".strip().split("\n")
PLAIN = r"""
SELECT current_database()
SELECT current_schema()
SELECT current_schema
SELECT current_user
SELECT session_user
SELECT current_role
SELECT user
SELECT current_catalog
SELECT current_user, session_user, current_database(), current_schema(), current_schemas(true), current_schemas(false)
SELECT pg_is_in_recovery(), pg_backend_pid() > 0 AS has_pid, version() LIKE 'PostgreSQL 15%' AS is_15
SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('no_such.thing', true) AS missing
SELECT 'pages'::regclass, 'pg_class'::regclass::oid, 'int4'::regtype, 'timestamptz'::regtype::oid, 1009::regtype::text
SELECT quote_ident('a b'), quote_ident('plain'), quote_literal('it''s'), pg_size_pretty(123456789::bigint), pg_size_pretty(10::bigint)
SELECT format_type(1700, 655366), format_type(1043, 14), format_type(25, NULL), format_type(1185, NULL), format_type(0, NULL), format_type(18, NULL)
SELECT has_table_privilege('pages', 'select'), has_schema_privilege('public', 'usage'), has_database_privilege(current_database(), 'connect')
SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 2
SELECT column_name, ordinal_position, is_nullable, data_type, numeric_precision, numeric_scale, udt_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position
SELECT schema_name, schema_owner FROM information_schema.schemata WHERE schema_name NOT LIKE 'pg\_t%' ORDER BY 1
SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = 'public'
SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'
SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'
SELECT matviewname, definition FROM pg_matviews
SELECT relname, relkind, relnatts FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1
SELECT count(*) FROM pg_attribute WHERE attrelid = 'pg_class'::regclass AND attnum > 0
SELECT typname, typlen, typcategory, typarray, typinput::regproc FROM pg_type WHERE oid IN (16, 20, 25, 1184, 1700) ORDER BY oid
SELECT obj_description('pages'::regclass, 'pg_class'), col_description('pages'::regclass, 1)
SELECT attname, atttypid::regtype, atttypmod, attlen, attalign FROM pg_attribute WHERE attrelid = 'clicks'::regclass AND attnum > 0 ORDER BY attnum
""".strip().split("\n")


def psql(*args, stdin=None, database="clickmill"):
    done = subprocess.run(["psql", "-X", "-d", database, *args], input=stdin, capture_output=True, text=True)
    return done.stdout, done.stderr


def rows(sql):
    out, err = psql("-At", "-F", "\x1f", "-R", "\x1e", "-P", "null=\x15", "-c", sql)
    if err:
        sys.exit(f"{sql}\n{err}")
    out = out[:-1] if out.endswith("\n") else out
    records = out.split("\x1e") if out else []
    return [[None if cell == "\x15" else cell for cell in record.split("\x1f")] for record in records]


def create(database, script):
    psql("-c", f"DROP DATABASE IF EXISTS {database}", database="postgres")
    psql("-c", f"CREATE DATABASE {database}", database="postgres")
    _, err = psql("-v", "ON_ERROR_STOP=1", "-q", stdin=script, database=database)
    if err:
        sys.exit(err)


def describe(sql):
    out, err = psql("-At", "-F", "\x1f", "-f", "-", stdin=sql.rstrip("; \n") + "\n\\gdesc\n")
    if err:
        sys.exit(err)
    return [line.split("\x1f") for line in out.splitlines()]


class Normal:
    """Writes oids of user objects as names."""

    def __init__(self):
        found = rows("SELECT oid, relname FROM pg_class WHERE oid >= 16384 AND relkind IN ('r','v','m','f')")
        self.names = dict(found)
        self.pattern = re.compile(r"\b(" + "|".join(self.names) + r")\b")

    def __call__(self, text):
        return None if text is None else self.pattern.sub(lambda m: "{oid:%s}" % self.names[m.group(1)], text)


def save(out, normal, key, value, sql):
    answer = [[normal(cell) for cell in row] for row in rows(sql)]
    if len(answer) > MOST_ROWS:
        return
    line = {key: value, "sql": normal(sql), "columns": describe(sql), "rows": answer}
    out.write(json.dumps(line, ensure_ascii=False) + "\n")


def record_psql():
    create("clickmill", open(f"{HERE}/data/objects.sql").read())
    normal = Normal()
    with open(f"{HERE}/data/psql.jsonl", "w") as out:
        for command in COMMANDS:
            shown, _ = psql("-E", "-c", command)
            for sql in re.findall(r"\*{9} QUERY \*{10}\n(.*?)\n\*{26}", shown, re.S):
                save(out, normal, "command", command, sql)
        for sql in TAB:
            save(out, normal, "command", "tab", sql)
        for sql in PLAIN:
            save(out, normal, "command", "select", sql)


def record_clients():
    """Answers the recorded statements of other clients that are about the system and take no parameters."""
    create("clickmill", open(f"{HERE}/data/recorded.sql").read())
    normal = Normal()
    oids = {name: oid for oid, name in normal.names.items()}
    recorded = {"16388": "clicks", "16393": "mv", "16397": "v"}
    with open(f"{HERE}/data/clients.jsonl", "w") as out:
        for line in open(f"{HERE}/data/client-statements.jsonl"):
            statement = json.loads(line)
            sql, client = statement["sql"], statement["client"]
            about_system = re.search(r"pg_|current_|version\(", sql) and re.match(r"\s*select", sql, re.I)
            if client.startswith("psql") or not about_system or "$1" in sql or "unlock_all" in sql:
                continue
            for oid, name in recorded.items():
                sql = sql.replace(oid, oids[name])
            save(out, normal, "client", client, sql)


record_psql()
record_clients()
