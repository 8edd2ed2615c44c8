package statements

import (
	"context"
	"database/sql/driver"
)

// plainConnection is what database/sql finds in a connection of the driver below, and so has to find in ours.
type plainConnection interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// plainStatement is a compiled statement of the driver below.
type plainStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// connection passes on everything but the two calls that compile a text. database/sql makes no two calls of one connection, its rows included, at
// the same time.
type connection struct {
	plainConnection
	kept kept
}

// ExecContext implements driver.ExecerContext.
func (connection *connection) ExecContext(ctx context.Context, text string, values []driver.NamedValue) (driver.Result, error) {
	statement, err := connection.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if statement == nil {
		return connection.plainConnection.ExecContext(ctx, text, values)
	}
	result, err := statement.ExecContext(ctx, values)
	connection.done(text, statement, err)
	return result, err
}

// QueryContext implements driver.QueryerContext. The statement belongs to the rows until they are closed; the same text meanwhile gets another one.
func (connection *connection) QueryContext(ctx context.Context, text string, values []driver.NamedValue) (driver.Rows, error) {
	statement, err := connection.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if statement == nil {
		return connection.plainConnection.QueryContext(ctx, text, values)
	}
	found, err := statement.QueryContext(ctx, values)
	if err != nil {
		connection.done(text, statement, err)
		return nil, err
	}
	plain, is := found.(plainRows)
	if !is {
		_ = found.Close()
		_ = statement.Close()
		return connection.plainConnection.QueryContext(ctx, text, values)
	}
	return &rows{plainRows: plain, connection: connection, text: text, statement: statement}, nil
}

// Close implements driver.Conn.
func (connection *connection) Close() error {
	connection.kept.close()
	return connection.plainConnection.Close()
}

// statement is one that nobody uses, compiled now if need be; nil when the text is none to keep.
func (connection *connection) statement(ctx context.Context, text string) (plainStatement, error) {
	if statement := connection.kept.take(text); statement != nil {
		return statement, nil
	}
	if connection.kept.closed || !keepable(text) {
		return nil, nil
	}
	made, err := connection.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	statement, is := made.(plainStatement)
	if !is {
		return nil, made.Close()
	}
	return statement, nil
}

// done keeps a statement for its next use. One that has failed is thrown away: nothing of a failure may reach that next use.
func (connection *connection) done(text string, statement plainStatement, err error) {
	if err != nil {
		_ = statement.Close() // says again what was said already
		return
	}
	connection.kept.give(text, statement)
}
