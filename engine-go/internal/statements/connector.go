// Package statements is a database/sql driver for SQLite that keeps what it has compiled. whatsmeow hands over the text of a statement with every
// call, and compiling it costs more than running it. Used by internal/session for each session's file.
//
// All of it is the driver modernc.org/sqlite, which reads, writes, and reports errors; this package only decides when a compiled statement is
// made and thrown away.
package statements

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"modernc.org/sqlite"
)

// Connector opens connections that keep statements.
type Connector struct {
	name string
	most int
}

// NewConnector is for sql.OpenDB. The name is what modernc.org/sqlite takes; each connection keeps this many statements at most.
func NewConnector(name string, most int) *Connector {
	return &Connector{name, most}
}

// Connect implements driver.Connector.
func (connector *Connector) Connect(context.Context) (driver.Conn, error) {
	opened, err := connector.Driver().Open(connector.name)
	if err != nil {
		return nil, err
	}
	plain, is := opened.(plainConnection)
	if !is {
		_ = opened.Close()
		return nil, fmt.Errorf("the driver's connection %T does not do what its release 1.53 does", opened)
	}
	return &connection{plainConnection: plain, kept: kept{most: connector.most}}, nil
}

// Driver implements driver.Connector: the driver below.
func (connector *Connector) Driver() driver.Driver {
	return &sqlite.Driver{}
}

// Forget throws away what an idle connection keeps. A connection that is in use is waited for.
func Forget(ctx context.Context, handle *sql.DB) error {
	borrowed, err := handle.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = borrowed.Close() }()
	return borrowed.Raw(func(opened any) error {
		if keeping, is := opened.(*connection); is {
			keeping.kept.clear()
		}
		return nil
	})
}
