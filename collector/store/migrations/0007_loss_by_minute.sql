-- Sums over minutes of sent², sent × lost and lost², sent = answered + lost: how far losses cluster. Hours and days whose
-- minutes are still there are merged anew; older ones keep 0, which measured.design_effect takes for not known.
ALTER TABLE hour ADD COLUMN sent_squared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hour ADD COLUMN sent_times_lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hour ADD COLUMN lost_squared INTEGER NOT NULL DEFAULT 0;

ALTER TABLE day ADD COLUMN sent_squared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day ADD COLUMN sent_times_lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day ADD COLUMN lost_squared INTEGER NOT NULL DEFAULT 0;

INSERT OR IGNORE INTO touched
    SELECT DISTINCT 'hour', minute.start_s / 3600 * 3600, series.node
    FROM minute JOIN series ON series.id = minute.series
    WHERE minute.start_s >= (SELECT start_s FROM horizon WHERE tier = 'minute');
