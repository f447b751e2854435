-- Times are Unix seconds, amounts microcredits (1 credit = 1,000,000).

CREATE TABLE account (
    id TEXT PRIMARY KEY,
    plan TEXT NOT NULL,
    -- The plan that the configuration file gave last: only a change there changes the account's.
    declared_plan TEXT,
    -- The subscription's start, and the period under way.
    anchor INTEGER NOT NULL,
    period_start INTEGER NOT NULL,
    period_end INTEGER NOT NULL,
    -- What plans gave in this period so far: a larger plan gives the difference, a smaller one takes nothing.
    refilled INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX account_by_period_end ON account (period_end);

CREATE TABLE site (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id),
    -- 'variants', or 'egress' with its rate.
    tariff TEXT NOT NULL CHECK (tariff IN ('variants', 'egress')),
    bytes_per_credit INTEGER NOT NULL CHECK (bytes_per_credit > 0),
    -- All settings of a site made through the API, as JSON; NULL: the configuration file has it.
    settings TEXT,
    allocation_monthly INTEGER,
    allocation_one_time INTEGER,
    -- What it has used of allocations: monthly ones in this period, one-time ones since it has one.
    used_monthly INTEGER NOT NULL DEFAULT 0,
    used_one_time INTEGER NOT NULL DEFAULT 0,
    -- What its last charge would have taken, if that was refused.
    needed INTEGER NOT NULL DEFAULT 0,
    -- Gone from the configuration: kept for its usage and its balance's history.
    removed INTEGER NOT NULL DEFAULT 0,
    CHECK ((allocation_monthly IS NULL) = (allocation_one_time IS NULL))
) STRICT;

CREATE INDEX site_by_account ON site (account);

CREATE TABLE ledger_account (
    id TEXT PRIMARY KEY,
    balance INTEGER NOT NULL,
    -- Rule 12: no balance is ever negative, but of the one that all credits come from.
    CHECK (balance >= 0 OR id = 'issued')
) STRICT, WITHOUT ROWID;

CREATE TABLE transfer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    reason TEXT NOT NULL,
    reference TEXT NOT NULL,
    -- What makes it happen once: for an account's period, a window's component, a counter's value, a request.
    key TEXT NOT NULL UNIQUE,
    -- Whose it is, for lists.
    account TEXT NOT NULL,
    site TEXT
) STRICT;

CREATE INDEX transfer_by_account ON transfer (account, id);
CREATE INDEX transfer_by_site ON transfer (site, id) WHERE site IS NOT NULL;

-- What was answered to a request with an Idempotency-Key.
CREATE TABLE request (
    key TEXT PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    at INTEGER NOT NULL,
    answer TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- An image size's window has two names: what was asked for, and the pixels that came of it (rule 4: what leads to the same
-- pixels is the same size; content that changes is not charged again).
CREATE TABLE size_window (
    site TEXT NOT NULL,
    name BLOB NOT NULL,
    window INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    -- Where content changes, a request may come to pixels that have a window of their own: it has both then.
    PRIMARY KEY (site, name, window)
) STRICT, WITHOUT ROWID;

CREATE TABLE variant_charge (
    window INTEGER NOT NULL,
    component TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (window, component)
) STRICT, WITHOUT ROWID;

-- What each node has counted for each site since its counters began.
CREATE TABLE counted (
    node TEXT NOT NULL,
    site TEXT NOT NULL,
    egress_bytes INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    saved_bytes INTEGER NOT NULL,
    PRIMARY KEY (node, site)
) STRICT, WITHOUT ROWID;

-- All egress of a site at one rate: its cost is charged or, where nothing was left, written off.
CREATE TABLE rated (
    site TEXT NOT NULL,
    bytes_per_credit INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    written_off INTEGER NOT NULL,
    PRIMARY KEY (site, bytes_per_credit)
) STRICT, WITHOUT ROWID;

-- Credits that a node may use up before it asks again.
CREATE TABLE lease (
    site TEXT NOT NULL,
    node TEXT NOT NULL,
    amount INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (site, node)
) STRICT, WITHOUT ROWID;

-- Usage by the hour that it was posted in.
CREATE TABLE usage (
    site TEXT NOT NULL,
    hour INTEGER NOT NULL,
    size INTEGER NOT NULL DEFAULT 0,
    webp INTEGER NOT NULL DEFAULT 0,
    avif INTEGER NOT NULL DEFAULT 0,
    egress INTEGER NOT NULL DEFAULT 0,
    written_off INTEGER NOT NULL DEFAULT 0,
    egress_bytes INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,
    saved_bytes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (site, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id),
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    revoked INTEGER
) STRICT;

CREATE TABLE state (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Goes up whenever a site may have become able to pay again, or rated in another way: nodes look at it.
INSERT INTO state (name, value) VALUES ('credits', 0), ('windows', 0);
