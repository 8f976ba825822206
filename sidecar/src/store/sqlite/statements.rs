//! The statements that write, and their arguments.

use std::sync::Arc;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqlSafeStr, SqlStr};

/// Rows of one statement. Each size is prepared once; a statement with fewer rows than places has NULLs in the
/// rest, which it passes over.
pub(super) const SIZES: [usize; 3] = [1, 16, 128];

/// Places for cursors of one statement: three filters of four nodes.
pub(super) const CURSORS: usize = 12;

pub(super) const ENTRY_COLUMNS: usize = 10;
pub(super) const CURSOR_COLUMNS: usize = 6;

pub(super) const VERSIONS: &str = "SELECT json, id FROM api_version";
pub(super) const SOURCES: &str = "SELECT name, id FROM source";

pub(super) const FORGET_ENTRIES: &str = "DELETE FROM entry WHERE id < ?";
pub(super) const FORGET_KEYS: &str = "DELETE FROM further_key WHERE entry < ?";
pub(super) const FORGET_PARTS: &str = "DELETE FROM entry_part WHERE entry < ?";

/// Index of the smallest of the [`SIZES`] with this many places; the greatest if none has.
pub(super) fn size_for(rows: usize) -> usize {
    SIZES.iter().position(|size| rows <= *size).unwrap_or(SIZES.len() - 1)
}

/// A value of a statement that is not worth a column list of its own.
pub(super) enum Value<'a> {
    Number(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

pub(super) fn arguments_of(values: &[Value<'_>]) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Number(number) => add(&mut arguments, *number)?,
            Value::Text(text) => add(&mut arguments, *text)?,
            Value::Bytes(bytes) => add(&mut arguments, *bytes)?,
        }
    }
    Ok(arguments)
}

pub(super) fn add<'q, T>(arguments: &mut SqliteArguments, value: T) -> Result<(), sqlx::Error>
where
    T: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    arguments.add(value).map_err(sqlx::Error::Encode)
}

pub(super) fn add_nulls(arguments: &mut SqliteArguments, count: usize) -> Result<(), sqlx::Error> {
    (0..count).try_for_each(|_| add(arguments, None::<i64>))
}

/// SQL texts that depend on sizes.
pub(super) struct Statements {
    pub(super) ask: [SqlStr; 3],
    pub(super) entries: [SqlStr; 3],
    pub(super) at_once: [SqlStr; 2],
    pub(super) cursors: SqlStr,
}

impl Statements {
    pub(super) fn new() -> Self {
        // Parameters have no numbers: to find a numbered one, SQLite goes through the list of all.
        let shared = |sql: String| AssertSqlSafe(Arc::<str>::from(sql)).into_sql_str();
        let entries = |size: usize| {
            let rows = rows(SIZES[size], ENTRY_COLUMNS);
            shared(format!("INSERT INTO entry SELECT * FROM ({rows}) WHERE column1 IS NOT NULL"))
        };
        let cursors = format!(
            "INSERT OR REPLACE INTO cursor SELECT * FROM ({}) WHERE column1 IS NOT NULL",
            rows(CURSORS, CURSOR_COLUMNS)
        );
        let ask = |size: usize| {
            let places = vec!["?"; SIZES[size]].join(",");
            shared(format!("SELECT identity FROM entry WHERE identity IN ({places})"))
        };
        let at_once = |size: usize| {
            shared(format!(
                "BEGIN IMMEDIATE;
                 INSERT INTO entry
                     SELECT ? + row_number() OVER (ORDER BY column1), column2, column3, column4, column5,
                         column6, column7, column8, column9, column10
                     FROM ({}) AS row
                     WHERE column1 IS NOT NULL
                         AND NOT EXISTS (SELECT 1 FROM entry WHERE identity = row.column4);
                 {cursors};
                 COMMIT;
                 SELECT count(*) FROM entry WHERE id > ?",
                rows(SIZES[size], ENTRY_COLUMNS)
            ))
        };
        Self {
            ask: [ask(0), ask(1), ask(2)],
            entries: [entries(0), entries(1), entries(2)],
            at_once: [at_once(0), at_once(1)],
            cursors: shared(cursors.clone()),
        }
    }
}

fn rows(count: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("VALUES {}", vec![row; count].join(","))
}
