//! The shipped dashboard: what it asks, and what Grafana expects of its form.

use crate::server::Prometheus;
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) struct Dashboard(Value);

/// Something that the dashboard wants to know.
pub(crate) struct Question {
    /// Where it stands in the dashboard.
    place: String,
    what: What,
}

enum What {
    Expression(String),
    Values { label: String, selector: String },
}

impl Dashboard {
    pub(crate) fn shipped() -> Self {
        let text = include_str!("../../grafana/dashboards/overview.json");
        Self(serde_json::from_str(text).expect("the dashboard is JSON"))
    }

    /// Every query of panels, variables and annotations; those that hold variables twice: with all values, and with
    /// the first value that Prometheus has.
    pub(crate) fn questions(&self, prometheus: &Prometheus) -> Vec<Question> {
        let mut chosen = vec![];
        let mut questions = Vec::new();
        for variable in list(&self.0["templating"]["list"]).filter(|variable| variable["type"] == "query") {
            let name = text(&variable["name"]);
            let Some((selector, label)) = label_values(text(&variable["definition"])) else {
                panic!("variable {name}: its definition is no label_values(selector, label)")
            };
            for values in [&all(&chosen), &chosen] {
                let place = format!("variable {name}");
                let what = What::Values { label: label.to_owned(), selector: substitute(selector, values) };
                questions.push(Question { place, what });
            }
            prometheus.wait_until(&substitute(selector, &all(&chosen)));
            let values = prometheus.label_values(label, &substitute(selector, &chosen)).expect("label values");
            let first = values.first().unwrap_or_else(|| panic!("variable {name} has no value"));
            chosen.push((name.to_owned(), first.clone()));
        }
        for (place, expression) in self.expressions() {
            for values in [&all(&chosen), &chosen] {
                questions
                    .push(Question { place: place.clone(), what: What::Expression(substitute(expression, values)) });
            }
        }
        questions
    }

    fn expressions(&self) -> impl Iterator<Item = (String, &str)> {
        let panels = list(&self.0["panels"]).flat_map(|panel| {
            let title = text(&panel["title"]);
            list(&panel["targets"]).map(move |target| (format!("panel {title}"), text(&target["expr"])))
        });
        let own = |annotation: &&Value| annotation["builtIn"] != 1;
        let annotations = list(&self.0["annotations"]["list"]).filter(own);
        panels
            .chain(annotations.map(|one| (format!("annotation {}", text(&one["name"])), text(&one["target"]["expr"]))))
    }

    /// What Grafana's file provisioning or a reader would stumble over.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut ids = BTreeSet::new();
        let mut cells = BTreeSet::new();
        let mut expect = |holds: bool, what: String| {
            if !holds {
                faults.push(what);
            }
        };
        expect(self.0["schemaVersion"] == 42, "schemaVersion is not 42".into());
        expect(!text(&self.0["uid"]).is_empty(), "there is no uid".into());
        expect(self.0.get("id").is_none_or(Value::is_null), "an id belongs to one server only".into());
        let source = list(&self.0["templating"]["list"]).find(|variable| variable["type"] == "datasource");
        let source = source.map(|variable| (text(&variable["name"]), text(&variable["query"])));
        expect(source == Some(("datasource", "prometheus")), "there is no variable for the data source".into());
        for panel in list(&self.0["panels"]) {
            let title = text(&panel["title"]);
            expect(ids.insert(panel["id"].as_u64()), format!("{title}: its id is taken"));
            let at = |side: &str| panel["gridPos"][side].as_u64().unwrap_or(u64::MAX / 4);
            expect(at("x") + at("w") <= 24 && at("h") < 100, format!("{title}: outside of the grid"));
            let area = (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)));
            let free = area.filter(|cell| !cells.insert(*cell)).count() == 0;
            expect(free, format!("{title}: lies on another panel"));
            if panel["type"] == "row" {
                continue;
            }
            expect(!text(&panel["description"]).is_empty(), format!("{title}: says not what it shows"));
            expect(
                !text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty() || panel["type"] == "table",
                format!("{title}: has no unit"),
            );
            expect(list(&panel["targets"]).count() > 0, format!("{title}: asks nothing"));
            let sources = list(&panel["targets"]).chain([panel]).all(|one| one["datasource"]["uid"] == "${datasource}");
            expect(sources, format!("{title}: does not use the chosen data source"));
        }
        faults
    }
}

impl Question {
    /// It is about that metric.
    pub(crate) fn asks_for(&self, metric: &str) -> bool {
        matches!(&self.what, What::Expression(expression) if expression.contains(metric))
    }

    /// Whether it parses; else where it stands and what is wrong.
    pub(crate) fn parse(&self, prometheus: &Prometheus) -> Result<(), String> {
        let parsed = match &self.what {
            What::Expression(expression) => prometheus.parse(expression),
            What::Values { selector, .. } => prometheus.parse(selector),
        };
        parsed.map_err(|why| self.fault(&why))
    }

    /// Whether there is an answer, all of it finite; else where it stands and what is wrong.
    pub(crate) fn ask(&self, prometheus: &Prometheus) -> Result<(), String> {
        let finite = match &self.what {
            What::Expression(expression) => prometheus.query(expression).map(|values| {
                let strange = values.iter().find(|value| !value.is_finite()).map(f64::to_string);
                if values.is_empty() { Some("empty".to_owned()) } else { strange }
            }),
            What::Values { label, selector } => {
                prometheus.label_values(label, selector).map(|values| values.is_empty().then(|| "empty".to_owned()))
            }
        };
        match finite {
            Ok(None) => Ok(()),
            Ok(Some(why)) | Err(why) => Err(self.fault(&why)),
        }
    }

    fn fault(&self, why: &str) -> String {
        let (What::Expression(expression) | What::Values { selector: expression, .. }) = &self.what;
        format!("{}: {why}: {expression}", self.place)
    }
}

/// `label_values(selector, label)`, the one form of variable query that the dashboard uses.
fn label_values(definition: &str) -> Option<(&str, &str)> {
    let (selector, label) = definition.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(',')?;
    Some((selector.trim(), label.trim()))
}

/// As Grafana does it: a chosen value is escaped for a regular expression, `All` is the variable's own pattern.
fn substitute(expression: &str, values: &[(String, String)]) -> String {
    let mut text = expression.replace("$__rate_interval", "4s").replace("$__interval", "1s");
    for (name, value) in values {
        let pattern = if value == ".+" { value.clone() } else { value.replace('.', "\\\\.") };
        text = text.replace(&format!("${name}"), &pattern);
    }
    assert!(!text.contains('$'), "an unknown variable in `{text}`");
    text
}

fn all(chosen: &[(String, String)]) -> Vec<(String, String)> {
    chosen.iter().map(|(name, _)| (name.clone(), ".+".to_owned())).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
