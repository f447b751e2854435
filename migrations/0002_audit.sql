-- What was done through the API that is not a matter of credits: who, when, to what. The oldest rows are dropped.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    -- 'operator', or the account and its key.
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    -- What it was done to, and whose that is, for lists; NULL: nobody's.
    site TEXT,
    account TEXT,
    -- What is particular to the action, as JSON.
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_site ON audit (site, id) WHERE site IS NOT NULL;
CREATE INDEX audit_by_account ON audit (account, id) WHERE account IS NOT NULL;
