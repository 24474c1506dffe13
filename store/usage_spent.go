package store

import (
	"context"
	"time"
)

// Spent returns what each key's requests did cost since an hour began, in
// millionths of a US dollar, by the credential's id. Keys that spent nothing
// are left out.
func (u *Usage) Spent(ctx context.Context, since time.Time) (map[int64]int64, error) {
	text, args := "SELECT api_key_id, CAST(sum(cost_microusd) AS bigint) FROM usage_hourly", []any(nil)
	if since.Unix() > 0 {
		text += " WHERE hour >= $1"
		args = append(args, u.db.second(since.UTC()))
	}
	if err := u.db.settled(ctx); err != nil {
		return nil, err
	}
	spent := map[int64]int64{}
	err := u.db.view(ctx, asking, func(x tx) error {
		found, err := x.query(text+" GROUP BY api_key_id", args...)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var id, cost int64
			if err := found.Scan(&id, &cost); err != nil {
				return err
			}
			if cost > 0 {
				spent[id] = cost
			}
		}
		return found.Err()
	})
	return spent, err
}
