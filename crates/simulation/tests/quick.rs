use oc_simulation::{
    search::{search, shrink, tell},
    world::Rules,
};
#[test]
fn quick() {
    let n: u64 = std::env::var("STORIES").ok().and_then(|s| s.parse().ok()).unwrap_or(2000);
    let from: u64 = std::env::var("FROM").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let t = std::time::Instant::now();
    let report = search(from..from + n, Rules::default(), &|_| ());
    println!("{:?} {:?}", t.elapsed(), Report2(&report));
    if let Some(broken) = &report.broken {
        let short = shrink(broken, &Rules::default());
        println!("{}", {
            let t = tell(&short.tape, &Rules::default());
            t.join("\n")
        });
        println!("seed {} laws {:?} len {}", broken.seed, short.laws, short.tape.len());
        panic!();
    }
}
struct Report2<'a>(&'a oc_simulation::search::Report);
impl std::fmt::Debug for Report2<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let r = self.0;
        write!(
            f,
            "stories {} crashes {} lost {} creates {} deletions {} conflicts {} elections {}",
            r.stories, r.crashes, r.lost, r.creates, r.deletions, r.conflicts, r.elections
        )
    }
}
