package session

import (
	"context"
	"errors"

	"go.mau.fi/whatsmeow/store"
)

// errRowsGone is how whatsmeow hears that a device's rows are deleted: see rows.
var errRowsGone = errors.New("its rows are deleted; its stores stay, because others still look into them")

// rows is whatsmeow's container of one device. When a device is deleted, whatsmeow puts other stores in the place of those that goroutines of its
// own (a collection that is being fetched) look into at that moment, without a lock. It does not when the container reports an error, so that
// one is reported although the rows are deleted: whoever still looks finds a file without the device.
type rows struct {
	store.DeviceContainer
	session *session
}

// PutDevice stores the device. whatsmeow's container puts itself back when it stores one for the first time, while nobody else knows of it.
func (rows rows) PutDevice(ctx context.Context, device *store.Device) error {
	err := rows.DeviceContainer.PutDevice(ctx, device)
	if device.Container != store.DeviceContainer(rows) {
		device.Container = rows
	}
	return err
}

// DeleteDevice deletes the rows. A pairing that has failed has nobody who looks; it gets what it expects.
func (rows rows) DeleteDevice(ctx context.Context, device *store.Device) error {
	if err := rows.DeviceContainer.DeleteDevice(ctx, device); err != nil || rows.session.me().IsEmpty() {
		return err
	}
	rows.session.forgotten.Store(true)
	return errRowsGone
}
