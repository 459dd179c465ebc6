#!/usr/bin/env python3
"""Takes the files of src/data from a PostgreSQL 15 named by PGHOST, PGPORT and PGUSER."""
import os
import subprocess
import sys

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "data")


def psql(*args):
    done = subprocess.run(["psql", "-X", "-d", "postgres", "-F", "\t", "-P", "null=\\N", "-P", "footer=off", *args], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def q(sql):
    return psql("-At", "-c", sql)


def dump(name, sql):
    with open(f"{OUT}/{name}.tsv", "w") as out:
        out.write(psql("-A", "-c", sql))


CAT='''pg_am pg_attrdef pg_attribute pg_auth_members pg_cast pg_class pg_collation pg_constraint pg_conversion pg_database pg_db_role_setting pg_default_acl
pg_depend pg_description pg_enum pg_event_trigger pg_extension pg_foreign_data_wrapper pg_foreign_server pg_foreign_table pg_index pg_inherits
pg_init_privs pg_language pg_largeobject_metadata pg_namespace pg_opclass pg_operator pg_opfamily pg_partitioned_table pg_policy pg_proc pg_publication
pg_publication_namespace pg_publication_rel pg_range pg_rewrite pg_seclabel pg_sequence pg_shdepend pg_shdescription pg_statistic_ext pg_subscription
pg_tablespace pg_transform pg_trigger pg_ts_config pg_ts_dict pg_ts_parser pg_ts_template pg_type pg_user_mapping
pg_group pg_indexes pg_matviews pg_policies pg_publication_tables pg_roles pg_rules pg_sequences pg_settings pg_tables pg_user pg_user_mappings pg_views'''.split()
INF='''information_schema_catalog_name applicable_roles check_constraints column_privileges columns constraint_column_usage constraint_table_usage domains
element_types enabled_roles foreign_tables key_column_usage parameters referential_constraints role_table_grants routines schemata sequences
table_constraints table_privileges tables triggers views view_column_usage view_table_usage'''.split()
names=','.join("'%s'"%n for n in CAT+INF)
rows=q(f'''select n.nspname,c.relname,c.oid,c.relkind,a.attname,coalesce(nullif(t.typbasetype,0),t.oid),a.attnotnull::int
from pg_class c join pg_namespace n on n.oid=c.relnamespace join pg_attribute a on a.attrelid=c.oid join pg_type t on t.oid=a.atttypid
where n.nspname in ('pg_catalog','information_schema') and c.relname in ({names}) and a.attnum>0 and not a.attisdropped order by n.nspname desc, c.relname collate "C", a.attnum''')
last=None; out=['# schema relation oid relkind, then one indented line per column: name, type oid, 1 where not null']
for l in rows.splitlines():
    s,r,o,k,a,t,nn=l.split('\t')
    if (s,r)!=last:
        out.append(f'{s} {r} {o} {k}'); last=(s,r)
    out.append(f'  {a} {t} {nn}')
with open(f"{OUT}/relations.txt", "w") as file:
    file.write("\n".join(out) + "\n")


def cols(rel):
    # regproc columns as oids
    return ','.join(l.split('\t')[0]+('::oid' if l.split('\t')[1]=='24' else '')+((' as '+l.split('\t')[0]) if l.split('\t')[1]=='24' else '') for l in q(f"select attname,atttypid from pg_attribute where attrelid='pg_catalog.{rel}'::regclass and attnum>0 order by attnum").splitlines())
T="typrelid=0 and oid<10000 and typnamespace=11 and not exists (select 1 from pg_type e where e.oid=t.typelem and e.typrelid<>0)"
dump('pg_type',f"select {cols('pg_type')} from pg_type t where {T} order by oid")
dump('pg_am',f"select {cols('pg_am')} from pg_am order by oid")
dump('pg_collation',f"select {cols('pg_collation')} from pg_collation where collname in ('default','C','POSIX','ucs_basic') order by oid")
dump('pg_tablespace',f"select {cols('pg_tablespace')} from pg_tablespace order by oid")
dump('pg_language',f"select {cols('pg_language')} from pg_language where lanname<>'plpgsql' order by oid")
dump('pg_range',f"select {cols('pg_range')} from pg_range order by rngtypid")
PC='oid,proname,pronamespace,proowner,prolang,procost,prorows,provariadic,prokind,prosecdef,proleakproof,proisstrict,proretset,provolatile,proparallel,pronargs,pronargdefaults,prorettype,proargtypes,proallargtypes,proargmodes,proargnames,prosrc'
FN="""pg_get_userbyid pg_table_is_visible pg_type_is_visible pg_function_is_visible format_type pg_get_expr pg_get_viewdef pg_get_indexdef pg_get_constraintdef
obj_description col_description shobj_description pg_encoding_to_char current_schema current_schemas current_database current_setting version quote_ident quote_literal pg_size_pretty
pg_table_size pg_relation_size pg_total_relation_size pg_database_size pg_is_in_recovery pg_backend_pid has_table_privilege has_schema_privilege has_database_privilege array_upper array_lower""".split()
fl=','.join("'%s'"%n for n in FN)
dump('pg_proc',f"""select {PC} from pg_proc p where pronamespace=11 and (oid in (select unnest(array[typinput,typoutput,typreceive,typsend,typmodin,typmodout,typsubscript,typanalyze]::oid[]) from pg_type t where {T})
 or proname in ({fl})) order by oid""")
dump("keywords", "select word,catcode,barelabel from pg_get_keywords()")
