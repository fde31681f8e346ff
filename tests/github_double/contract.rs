//! Requests and answers against GitHub's own description of its API (`tests/fixtures/github-openapi.json`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::http::{Answer, Request};

const DESCRIPTION: &str = include_str!("../fixtures/github-openapi.json");
const AT: &str = "mem:///github.json";

/// The description, its schemas compiled once.
pub struct Contract {
    schemas: Schemas,
    operations: Vec<Operation>,
    failure: SchemaIndex,
}

struct Operation {
    method: String,
    /// The path's parts; `{…}` stands for any one, and the last one for any number.
    parts: Vec<String>,
    query: Vec<String>,
    required_query: Vec<String>,
    request: Option<SchemaIndex>,
    /// By status; none where the answer has no JSON.
    answers: BTreeMap<u16, Option<SchemaIndex>>,
}

/// The one contract of this process.
pub fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| Contract::new(&serde_json::from_str(DESCRIPTION).unwrap()))
}

/// The description itself.
pub fn description() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(DESCRIPTION).unwrap())
}

fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1").replace('{', "%7B").replace('}', "%7D")
}

/// Follows a `$ref`, and says where it led.
fn resolved<'a>(root: &'a Value, at: String, value: &'a Value) -> (String, &'a Value) {
    match value.get("$ref").and_then(Value::as_str) {
        Some(to) => (to.trim_start_matches('#').to_owned(), root.pointer(to.trim_start_matches('#')).unwrap()),
        None => (at, value),
    }
}

impl Contract {
    fn new(root: &Value) -> Self {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(AT, root.clone()).unwrap();
        let mut schemas = Schemas::new();
        let mut compile = |at: &str| compiler.compile(&format!("{AT}#{at}"), &mut schemas).unwrap();
        let mut operations = Vec::new();
        for (path, methods) in root["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let at = format!("/paths/{}/{method}", escaped(path));
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let parameters: Vec<Value> =
                    parameters.iter().map(|p| resolved(root, String::new(), p).1.clone()).collect();
                let query = |required: bool| {
                    let of = parameters.iter().filter(|p| p["in"] == "query" && (!required || p["required"] == true));
                    of.map(|p| p["name"].as_str().unwrap().to_owned()).collect()
                };
                let json = "/content/application~1json/schema";
                let has_body = operation.pointer(&format!("/requestBody{json}")).is_some();
                let request = has_body.then(|| compile(&format!("{at}/requestBody{json}")));
                let mut answers = BTreeMap::new();
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    let (at, answer) = resolved(root, format!("{at}/responses/{status}"), answer);
                    let schema = answer.pointer(json).is_some().then(|| compile(&format!("{at}{json}")));
                    answers.insert(status.parse().unwrap(), schema);
                }
                operations.push(Operation {
                    method: method.to_uppercase(),
                    parts: path.split('/').map(str::to_owned).collect(),
                    query: query(false),
                    required_query: query(true),
                    request,
                    answers,
                });
            }
        }
        let failure = compile("/components/schemas/basic-error");
        Self { schemas, operations, failure }
    }

    fn operation(&self, request: &Request) -> Option<&Operation> {
        let parts: Vec<&str> = request.path.split('/').collect();
        let fits = |o: &&Operation| {
            let last = o.parts.len() - 1;
            o.method == request.method
                && (parts.len() == o.parts.len() || (parts.len() > o.parts.len() && o.parts[last] == "{ref}"))
                && o.parts.iter().zip(&parts).all(|(o, p)| o.starts_with('{') || o == p)
        };
        // `/releases/latest` is also `/releases/{release_id}`: the path with fewer blanks is meant.
        self.operations.iter().filter(fits).min_by_key(|o| o.parts.iter().filter(|p| p.starts_with('{')).count())
    }

    /// What a request breaks.
    pub fn request(&self, request: &Request) -> Vec<String> {
        let what = format!("{} {}", request.method, request.path);
        // The root of the API is described too, but not in the part that the fixture holds; asking it is how we probe.
        if what == "GET /" {
            return Vec::new();
        }
        let Some(operation) = self.operation(request) else {
            return vec![format!("{what}: there is no such operation")];
        };
        let mut out = Vec::new();
        for (name, _) in &request.query {
            if !operation.query.contains(name) {
                out.push(format!("{what}: there is no query parameter `{name}`"));
            }
        }
        for name in &operation.required_query {
            if request.query(name).is_none() {
                out.push(format!("{what}: the query parameter `{name}` is missing"));
            }
        }
        if let Some(schema) = operation.request {
            out.extend(self.check(&what, &request.body, schema));
        }
        // The server's clock, which anybody may read: nothing of ours goes along.
        let anybody = request.path == "/rate_limit";
        for name in ["authorization", "user-agent", "accept", "x-github-api-version"] {
            if request.header(name).is_none() && !(anybody && name != "user-agent") {
                out.push(format!("{what}: the header `{name}` is missing"));
            }
        }
        out
    }

    /// What an answer breaks.
    pub fn answer(&self, request: &Request, answer: &Answer) -> Vec<String> {
        let what = format!("{} {} -> {}", request.method, request.path, answer.status);
        let Some(operation) = self.operation(request) else { return Vec::new() };
        match operation.answers.get(&answer.status) {
            Some(Some(schema)) => self.check(&what, &answer.body, *schema),
            Some(None) => Vec::new(),
            // Failures that any call may have.
            None if matches!(answer.status, 304 | 401 | 403 | 404 | 429 | 500..) => match answer.body.is_empty() {
                true => Vec::new(),
                false => self.check(&what, &answer.body, self.failure),
            },
            None => vec![format!("{what}: the description has no such answer")],
        }
    }

    fn check(&self, what: &str, bytes: &[u8], schema: SchemaIndex) -> Vec<String> {
        match serde_json::from_slice::<Value>(bytes) {
            Err(e) => vec![format!("{what}: no JSON: {e}")],
            Ok(value) => {
                self.schemas.validate(&value, schema).err().map(|e| format!("{what}: {e}")).into_iter().collect()
            }
        }
    }
}
