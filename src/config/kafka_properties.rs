use super::model::Run;
use super::reader::Table;
#[derive(Default)]
pub struct Properties { pub consumer: Vec<(String,String)>, pub producer: Vec<(String,String)> }
pub fn read(_table: &Table<'_>, _run: Option<&Run>) -> Properties { Properties::default() }
