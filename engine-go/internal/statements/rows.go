package statements

import (
	"database/sql/driver"
	"errors"
	"io"
)

// plainRows is what database/sql finds in rows of the driver below, and so has to find in ours.
type plainRows interface {
	driver.Rows
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

// rows gives its statement back when it is closed.
type rows struct {
	plainRows
	connection *connection
	text       string
	statement  plainStatement // nil when it was given back
	failed     error
}

// Next implements driver.Rows.
func (rows *rows) Next(values []driver.Value) error {
	err := rows.plainRows.Next(values)
	if err != nil && !errors.Is(err, io.EOF) {
		rows.failed = err
	}
	return err
}

// Close implements driver.Rows.
func (rows *rows) Close() error {
	if rows.statement == nil {
		return nil
	}
	err := rows.plainRows.Close()
	statement := rows.statement
	rows.statement = nil
	rows.connection.done(rows.text, statement, errors.Join(rows.failed, err))
	return err
}
