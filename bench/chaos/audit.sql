-- Who moved which position from where to where? Written down by a trigger, within the transaction that moves it.
CREATE SCHEMA chaos;
CREATE TABLE chaos.moves (
    number bigserial PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    consumer text NOT NULL,
    log_id text NOT NULL,
    log_partition integer NOT NULL,
    old_offset bigint NOT NULL,
    new_offset bigint NOT NULL,
    old_epoch bigint NOT NULL,
    new_epoch bigint NOT NULL,
    holder uuid,
    session text NOT NULL
);
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.moves
        (consumer, log_id, log_partition, old_offset, new_offset, old_epoch, new_epoch, holder, session)
    VALUES
        (new.consumer, new.log_id, new.log_partition, old.next_offset, new.next_offset, old.epoch, new.epoch,
         new.holder, current_setting('application_name'));
    RETURN NULL;
END $$;
CREATE TRIGGER chaos AFTER UPDATE ON storyline.positions FOR EACH ROW
WHEN (old.next_offset <> new.next_offset OR old.epoch <> new.epoch) EXECUTE FUNCTION chaos.note();
