-- The history of a project that wf wrote when the schema had version 1, as `sqlite3 wf.db .dump` shows it.
BEGIN TRANSACTION;
CREATE TABLE artifacts (
        digest      TEXT PRIMARY KEY,
        kind        TEXT NOT NULL,               -- file, folder
        bytes       INTEGER NOT NULL,
        files       INTEGER NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "artifacts" VALUES('29462116730e4b120586d63cd89aa1ea87aa0389a5367b4410bd56563155c816','folder',0,0);
INSERT INTO "artifacts" VALUES('8598bbe30e1c0ddc4e4c51d279b06f7bc9d06ba29d53b4a462a95c13c8f7d7c2','folder',3,1);
INSERT INTO "artifacts" VALUES('c225c065f8f376d4b911cd7873ffa92364d35c643c43e8a9d22357b0b6e2a428','folder',3,1);
CREATE TABLE dataset_versions (
        id          INTEGER PRIMARY KEY,         -- in the order of their making: the last is `latest`
        dataset     TEXT NOT NULL,
        version     TEXT NOT NULL,               -- 7 of a-z, 0-9
        digest      TEXT NOT NULL REFERENCES artifacts (digest),
        run         INTEGER,                     -- the run and job that wrote it; they may be forgotten before it is
        job         TEXT,
        output      TEXT,
        created     TEXT NOT NULL,
        UNIQUE (dataset, version)
    );
INSERT INTO "dataset_versions" VALUES(1,'team/ratings','ujj4t4a','c225c065f8f376d4b911cd7873ffa92364d35c643c43e8a9d22357b0b6e2a428',1,'a','x','2026-11-21T23:05:43.440Z');
INSERT INTO "dataset_versions" VALUES(2,'scores','6ovpqsv','29462116730e4b120586d63cd89aa1ea87aa0389a5367b4410bd56563155c816',1,'b','z','2026-11-21T23:05:43.446Z');
INSERT INTO "dataset_versions" VALUES(3,'team/ratings','l3issit','8598bbe30e1c0ddc4e4c51d279b06f7bc9d06ba29d53b4a462a95c13c8f7d7c2',2,'a','x','2026-11-21T23:05:43.459Z');
INSERT INTO "dataset_versions" VALUES(4,'scores','gkrmv4g','29462116730e4b120586d63cd89aa1ea87aa0389a5367b4410bd56563155c816',2,'b','z','2026-11-21T23:05:43.463Z');
CREATE TABLE inputs (
        run         INTEGER NOT NULL,
        job         TEXT NOT NULL,
        name        TEXT NOT NULL,
        source      TEXT NOT NULL,               -- JOB.outputs.NAME, DATASET:VERSION or '' for text
        digest      TEXT NOT NULL,
        PRIMARY KEY (run, job, name),
        FOREIGN KEY (run, job) REFERENCES jobs (run, name) ON DELETE CASCADE
    ) WITHOUT ROWID;
INSERT INTO "inputs" VALUES(1,'b','x','a.outputs.x','c225c065f8f376d4b911cd7873ffa92364d35c643c43e8a9d22357b0b6e2a428');
INSERT INTO "inputs" VALUES(2,'b','x','a.outputs.x','8598bbe30e1c0ddc4e4c51d279b06f7bc9d06ba29d53b4a462a95c13c8f7d7c2');
CREATE TABLE jobs (
        run         INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name        TEXT NOT NULL,
        position    INTEGER NOT NULL,            -- in the plan
        state       TEXT NOT NULL,
        started     TEXT,
        finished    TEXT,
        seconds     REAL NOT NULL DEFAULT 0,
        exit_code   INTEGER,
        error       TEXT NOT NULL DEFAULT '',
        key         TEXT,                        -- JSON: image, code and all else that its outputs depend on
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
INSERT INTO "jobs" VALUES(1,'a',0,'succeeded','2026-11-21T23:05:43.437Z','2026-11-21T23:05:43.440Z',3.21176100078446324914e-03,0,'','{"code": null, "command": [], "entrypoint": null, "env": {"FAKE_OUTPUT_x": "one"}, "image": "fake:RegistryImage(ref=''fake'')", "inputs": {}, "outputs": {"x": "dataset"}, "parameters": {}, "schema": 1, "secrets": []}');
INSERT INTO "jobs" VALUES(1,'b',1,'succeeded','2026-11-21T23:05:43.445Z','2026-11-21T23:05:43.446Z',1.38012699972023256123e-03,0,'','{"code": null, "command": [], "entrypoint": null, "env": {}, "image": "fake:RegistryImage(ref=''fake'')", "inputs": {"x": "c225c065f8f376d4b911cd7873ffa92364d35c643c43e8a9d22357b0b6e2a428"}, "outputs": {"z": "dataset"}, "parameters": {}, "schema": 1, "secrets": []}');
INSERT INTO "jobs" VALUES(2,'a',0,'succeeded','2026-11-21T23:05:43.457Z','2026-11-21T23:05:43.459Z',2.71125300059793516993e-03,0,'','{"code": null, "command": [], "entrypoint": null, "env": {"FAKE_OUTPUT_x": "two"}, "image": "fake:RegistryImage(ref=''fake'')", "inputs": {}, "outputs": {"x": "dataset"}, "parameters": {}, "schema": 1, "secrets": []}');
INSERT INTO "jobs" VALUES(2,'b',1,'succeeded','2026-11-21T23:05:43.462Z','2026-11-21T23:05:43.463Z',1.35090599997056415304e-03,0,'','{"code": null, "command": [], "entrypoint": null, "env": {}, "image": "fake:RegistryImage(ref=''fake'')", "inputs": {"x": "8598bbe30e1c0ddc4e4c51d279b06f7bc9d06ba29d53b4a462a95c13c8f7d7c2"}, "outputs": {"z": "dataset"}, "parameters": {}, "schema": 1, "secrets": []}');
CREATE TABLE metrics (
        run         INTEGER NOT NULL,
        job         TEXT NOT NULL,
        name        TEXT NOT NULL,
        value       REAL NOT NULL,
        PRIMARY KEY (run, job, name),
        FOREIGN KEY (run, job) REFERENCES jobs (run, name) ON DELETE CASCADE
    ) WITHOUT ROWID;
CREATE TABLE outputs (
        run         INTEGER NOT NULL,
        job         TEXT NOT NULL,
        name        TEXT NOT NULL,
        type        TEXT NOT NULL,
        format      TEXT,
        digest      TEXT NOT NULL REFERENCES artifacts (digest),
        PRIMARY KEY (run, job, name),
        FOREIGN KEY (run, job) REFERENCES jobs (run, name) ON DELETE CASCADE
    ) WITHOUT ROWID;
INSERT INTO "outputs" VALUES(1,'a','x','dataset',NULL,'c225c065f8f376d4b911cd7873ffa92364d35c643c43e8a9d22357b0b6e2a428');
INSERT INTO "outputs" VALUES(1,'b','z','dataset',NULL,'29462116730e4b120586d63cd89aa1ea87aa0389a5367b4410bd56563155c816');
INSERT INTO "outputs" VALUES(2,'a','x','dataset',NULL,'8598bbe30e1c0ddc4e4c51d279b06f7bc9d06ba29d53b4a462a95c13c8f7d7c2');
INSERT INTO "outputs" VALUES(2,'b','z','dataset',NULL,'29462116730e4b120586d63cd89aa1ea87aa0389a5367b4410bd56563155c816');
CREATE TABLE runs (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        workflow    TEXT NOT NULL,               -- path from the project's folder
        state       TEXT NOT NULL,
        started     TEXT NOT NULL,               -- times are RFC 3339 in UTC with milliseconds
        finished    TEXT,
        backend     TEXT NOT NULL,
        inputs      TEXT NOT NULL,               -- JSON
        plan        TEXT NOT NULL,               -- JSON
        error       TEXT NOT NULL DEFAULT '',
        wf_version  TEXT NOT NULL,
        git_commit  TEXT,
        git_dirty   INTEGER NOT NULL DEFAULT 0,
        owner       TEXT NOT NULL,               -- JSON: the process that runs it
        swept       INTEGER NOT NULL DEFAULT 0   -- whether nothing of it is left in its backend
    );
INSERT INTO "runs" VALUES(1,'flow.yaml','succeeded','2026-11-21T23:05:43.433Z','2026-11-21T23:05:43.447Z','fake','{}','{"inputs": {}, "record": "Plan", "root": "/home/me/project", "tasks": [{"action": "fake", "cache": false, "command": [], "entrypoint": null, "env": {"FAKE_OUTPUT_x": "one"}, "id": "a", "image": {"record": "RegistryImage", "ref": "fake"}, "inputs": [], "is_step": false, "local_files": [], "needs": [], "network": true, "network_with": [], "outputs": [{"dataset": "team/ratings", "format": null, "name": "x", "record": "TaskOutput", "type": "dataset"}], "parameters": {}, "record": "Task", "resources": {"cpus": null, "gpus": 0, "instance_type": null, "memory": null, "record": "Resources"}, "secrets": {}, "span": {"column": 1, "length": 1, "line": 1, "path": "flow.yaml", "record": "Span"}, "state": false, "timeout": null}, {"action": "fake", "cache": false, "command": [], "entrypoint": null, "env": {}, "id": "b", "image": {"record": "RegistryImage", "ref": "fake"}, "inputs": [{"name": "x", "record": "TaskInput", "source": {"job": "a", "output": "x", "record": "UpstreamOutput"}, "type": "dataset"}], "is_step": false, "local_files": [], "needs": ["a"], "network": true, "network_with": [], "outputs": [{"dataset": "scores", "format": null, "name": "z", "record": "TaskOutput", "type": "dataset"}], "parameters": {}, "record": "Task", "resources": {"cpus": null, "gpus": 0, "instance_type": null, "memory": null, "record": "Resources"}, "secrets": {}, "span": {"column": 1, "length": 1, "line": 1, "path": "flow.yaml", "record": "Span"}, "state": false, "timeout": null}], "workflow": "/home/me/project/flow.yaml"}','','0.1.0',NULL,0,'{"host":"somewhere","boot":"","pid":1,"start":"1"}',1);
INSERT INTO "runs" VALUES(2,'flow.yaml','succeeded','2026-11-21T23:05:43.453Z','2026-11-21T23:05:43.465Z','fake','{}','{"inputs": {}, "record": "Plan", "root": "/home/me/project", "tasks": [{"action": "fake", "cache": false, "command": [], "entrypoint": null, "env": {"FAKE_OUTPUT_x": "two"}, "id": "a", "image": {"record": "RegistryImage", "ref": "fake"}, "inputs": [], "is_step": false, "local_files": [], "needs": [], "network": true, "network_with": [], "outputs": [{"dataset": "team/ratings", "format": null, "name": "x", "record": "TaskOutput", "type": "dataset"}], "parameters": {}, "record": "Task", "resources": {"cpus": null, "gpus": 0, "instance_type": null, "memory": null, "record": "Resources"}, "secrets": {}, "span": {"column": 1, "length": 1, "line": 1, "path": "flow.yaml", "record": "Span"}, "state": false, "timeout": null}, {"action": "fake", "cache": false, "command": [], "entrypoint": null, "env": {}, "id": "b", "image": {"record": "RegistryImage", "ref": "fake"}, "inputs": [{"name": "x", "record": "TaskInput", "source": {"job": "a", "output": "x", "record": "UpstreamOutput"}, "type": "dataset"}], "is_step": false, "local_files": [], "needs": ["a"], "network": true, "network_with": [], "outputs": [{"dataset": "scores", "format": null, "name": "z", "record": "TaskOutput", "type": "dataset"}], "parameters": {}, "record": "Task", "resources": {"cpus": null, "gpus": 0, "instance_type": null, "memory": null, "record": "Resources"}, "secrets": {}, "span": {"column": 1, "length": 1, "line": 1, "path": "flow.yaml", "record": "Span"}, "state": false, "timeout": null}], "workflow": "/home/me/project/flow.yaml"}','','0.1.0',NULL,0,'{"host":"somewhere","boot":"","pid":1,"start":"1"}',1);
CREATE INDEX runs_to_sweep ON runs (swept) WHERE NOT swept;
CREATE INDEX outputs_by_digest ON outputs (digest);
CREATE INDEX dataset_versions_by_run ON dataset_versions (run, job);
COMMIT;
PRAGMA user_version = 1;
