//! Files that must agree with the code.

use std::fs;

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names of settings that the configuration reads, as they stand in its source.
fn settings() -> Vec<String> {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config")).unwrap();
    let sources: Vec<_> = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let lines = sources.iter().flat_map(|source| source.split("\nmod tests {").next().unwrap().lines());
    // Line by line, since a quotation mark may stand alone in one.
    let names = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    let is_name = |name: &&str| name.len() > 3 && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    names.filter(is_name).filter(|name| !name.starts_with('_') && !name.ends_with('_')).map(str::to_owned).collect()
}

#[test]
fn every_setting_is_explained() {
    let example = read(".env.example");
    let settings = settings();
    assert!(settings.len() > 30, "{settings:?}");
    for name in settings.iter().filter(|name| !["BASE_URL", "API_KEY", "MODELS"].contains(&name.as_str())) {
        assert!(example.contains(&format!("{name}=")), "{name} is not in .env.example");
    }
}

#[test]
fn nothing_is_explained_that_is_not_read() {
    let settings = settings();
    for line in read(".env.example").lines() {
        let Some((name, _)) = line.trim_start_matches(['#', ' ']).split_once('=') else { continue };
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let is_known = settings.iter().any(|setting| setting == name) || name.starts_with("COMPATIBLE_");
        assert!(!is_name || is_known, "{name} is in .env.example, and nothing reads it");
    }
}

#[test]
fn ci_runs_the_command_that_the_readme_names() {
    let readme = read("README.md");
    let mut blocks = readme.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().trim());
    let (run, test) = (blocks.next().unwrap(), blocks.next().unwrap());
    assert_eq!((run.lines().count(), test.lines().count()), (1, 1));
    assert!(read(".ci/run").contains(test), "`{test}` is not in .ci/run");
}

/// `scripts/build-image` carries out the Dockerfile's own lines, and refuses those that it does not know.
#[test]
fn the_image_is_what_render_and_the_documents_take_it_for() {
    let (dockerfile, render) = (read("Dockerfile"), read("render.yaml"));
    let known = ["FROM", "WORKDIR", "ENV", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "CMD"];
    let lines = dockerfile.replace("\\\n", " ");
    let lines = lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let instructions: Vec<_> = lines.map(|line| line.split_once(' ').unwrap()).collect();
    for (name, _) in &instructions {
        assert!(known.contains(name), "scripts/build-image does not know {name}");
    }
    let of = |name: &str| instructions.iter().rev().find(|(other, _)| *other == name).unwrap().1;
    assert_eq!((of("FROM"), of("CMD"), of("EXPOSE")), ("scratch", r#"["/llm-gateway"]"#, "3001"));
    assert!(of("HEALTHCHECK").ends_with(r#"CMD ["/llm-gateway", "health"]"#), "{}", of("HEALTHCHECK"));
    assert!(of("USER").split(':').all(|id| id.parse::<u32>().unwrap() > 0), "{}", of("USER"));
    assert!(render.contains("preDeployCommand: /llm-gateway check\n") && render.contains("healthCheckPath: /health\n"));
    assert!(read(".ci/run").contains("scripts/build-image && scripts/try-image"));
}

#[test]
fn every_secret_of_the_blueprint_is_kept_out_of_it() {
    let render = read("render.yaml");
    for entry in render.split("- key: ").skip(1) {
        let (name, rest) = entry.split_once('\n').unwrap();
        let rest = rest.split('\n').take_while(|line| !line.contains("- key: ")).collect::<String>();
        let is_secret = ["KEY", "TOKEN", "URL", "SECRET"].iter().any(|word| name.contains(word));
        let is_kept_out = ["sync: false", "generateValue: true", "fromService:"].iter().any(|way| rest.contains(way));
        assert!(!is_secret || is_kept_out, "{name}");
        assert!(read(".env.example").contains(&format!("{name}=")), "{name} is no setting");
    }
}
