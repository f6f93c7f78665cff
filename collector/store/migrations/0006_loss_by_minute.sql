-- Sums over minutes of sent², sent × lost and lost², sent = answered + lost: how far losses cluster. Hours and days from before
-- keep 0, which measured.loss_design_effect takes for not known: merging weeks of minutes anew would stop the pages for hours.
ALTER TABLE hour ADD COLUMN sent_squared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hour ADD COLUMN sent_times_lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hour ADD COLUMN lost_squared INTEGER NOT NULL DEFAULT 0;

ALTER TABLE day ADD COLUMN sent_squared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day ADD COLUMN sent_times_lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day ADD COLUMN lost_squared INTEGER NOT NULL DEFAULT 0;
