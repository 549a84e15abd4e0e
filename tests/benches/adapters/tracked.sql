-- As `bemi-worker setup --replica-identity full` leaves it.

CREATE TABLE todo (
    id bigserial PRIMARY KEY,
    task text NOT NULL,
    note text NOT NULL,
    is_completed boolean NOT NULL DEFAULT false
);
ALTER TABLE todo REPLICA IDENTITY FULL;
CREATE PUBLICATION todo FOR TABLE todo;
