-- Run once by the PostgreSQL image, as its superuser, when its data folder is still empty.
--
-- The application, MLflow and Prefect each get a role and a database of their own name: MLflow and Prefect
-- use the same migration table, and in one database each would overwrite the other's. No role may enter
-- another's database, except that Grafana reads the application's. The passwords come from the environment of
-- this container.

\set ON_ERROR_STOP on
\set QUIET on

-- A statement that fails must not carry its password into the server's log.
SET log_min_error_statement = panic;

\set energy_demand_password ''
\set mlflow_password ''
\set prefect_password ''
\set grafana_password ''
\getenv energy_demand_password APP_DB_PASSWORD
\getenv mlflow_password MLFLOW_DB_PASSWORD
\getenv prefect_password PREFECT_DB_PASSWORD
\getenv grafana_password GRAFANA_DB_PASSWORD

-- Checked before anything is created: the image does not run this file again on a partly filled folder.
SELECT string_agg(name, ', ') AS missing
FROM (VALUES
    ('APP_DB_PASSWORD', :'energy_demand_password'),
    ('MLFLOW_DB_PASSWORD', :'mlflow_password'),
    ('PREFECT_DB_PASSWORD', :'prefect_password'),
    ('GRAFANA_DB_PASSWORD', :'grafana_password')
) AS given (name, password)
WHERE password = ''
\gset
\if :{?missing}
    SELECT set_config('init.missing', :'missing', false) \g /dev/null
    DO $$ BEGIN
        RAISE EXCEPTION 'not set or empty: %', current_setting('init.missing')
            USING HINT = 'Give the PostgreSQL container these variables (see .env.example), '
                         'remove its half-made volume and start it again.';
    END $$;
\endif

CREATE ROLE energy_demand LOGIN PASSWORD :'energy_demand_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE ROLE prefect LOGIN PASSWORD :'prefect_password';
CREATE ROLE grafana LOGIN PASSWORD :'grafana_password' CONNECTION LIMIT 10;

CREATE DATABASE energy_demand OWNER energy_demand;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE prefect OWNER prefect;

-- By default every role may connect to every database; owners keep the right.
REVOKE ALL ON DATABASE energy_demand, mlflow, prefect FROM PUBLIC;

-- Grafana may only read. No table exists yet, so the grant is for those that the application's migrations will
-- create.
GRANT CONNECT ON DATABASE energy_demand TO grafana;
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE grafana SET statement_timeout = '15s';
ALTER ROLE grafana SET idle_in_transaction_session_timeout = '15s';

\connect energy_demand
GRANT USAGE ON SCHEMA public TO grafana;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO grafana;
ALTER DEFAULT PRIVILEGES FOR ROLE energy_demand IN SCHEMA public GRANT SELECT ON TABLES TO grafana;
