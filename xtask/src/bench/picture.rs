//! Draws what a service costs against the number of services.
//!
//! The SVG is plain text: two charts of a few points need no library for charts.

use super::figures::{Figures, written};

/// The size of the picture.
const SIZE: (u32, u32) = (720, 270);
/// The size of one chart, between its axes.
const CHART: (f64, f64) = (264.0, 150.0);
/// How far the first and the last point are from the sides, so that no value is over one of the axis.
const MARGIN: f64 = 24.0;
/// The top of both charts.
const TOP: f64 = 56.0;
/// A grey that can be read on white and on black.
const TEXT: &str = "#7a8490";

/// One of the two charts.
struct Chart {
    title: &'static str,
    /// The x of its left end.
    left: f64,
    colour: &'static str,
    decimals: usize,
    of: fn(&Figures) -> f64,
}

const CHARTS: [Chart; 2] = [
    Chart {
        title: "CPU per service, in ms",
        left: 60.0,
        colour: "#3f8fd2",
        decimals: 2,
        of: |figures| figures.cpu,
    },
    Chart {
        title: "Own memory per service, in KiB",
        left: 420.0,
        colour: "#cf7a30",
        decimals: 1,
        of: |figures| figures.memory,
    },
];

/// Returns the picture as SVG.
pub fn draw(all: &[Figures]) -> String {
    let mut sorted: Vec<&Figures> = all.iter().collect();
    sorted.sort_by_key(|figures| figures.services);
    let charts: String = CHARTS.iter().map(|chart| chart.draw(&sorted)).collect();
    let told: Vec<String> = sorted
        .iter()
        .map(|of| {
            format!(
                "{} services: {:.2} ms, {:.1} KiB",
                written(of.services),
                of.cpu,
                of.memory
            )
        })
        .collect();
    let (width, height) = SIZE;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\" fill=\"{TEXT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <title id=\"title\">CPU and memory per service, by the number of services</title>\n\
         <desc id=\"desc\">{}.</desc>\n{charts}</svg>\n",
        told.join("; ")
    )
}

impl Chart {
    fn draw(&self, all: &[&Figures]) -> String {
        let values: Vec<f64> = all.iter().map(|figures| (self.of)(figures)).collect();
        let top = ceiling(values.iter().copied().fold(0.0, f64::max));
        let sizes: Vec<u32> = all.iter().map(|figures| figures.services).collect();
        let points: Vec<(f64, f64)> = sizes
            .iter()
            .zip(&values)
            .map(|(size, value)| {
                (
                    self.left + MARGIN + (CHART.0 - 2.0 * MARGIN) * share(*size, &sizes),
                    height(*value, top),
                )
            })
            .collect();
        let middle = self.left + CHART.0 / 2.0;
        let mut text = label(middle, TOP - 32.0, "middle", self.title);
        text += &self.grid(top);
        for ((x, _), size) in points.iter().zip(&sizes) {
            text += &label(*x, TOP + CHART.1 + 18.0, "middle", &written(*size));
        }
        let below = TOP + CHART.1 + 38.0;
        text += &label(middle, below, "middle", "services (logarithmic scale)");
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let colour = self.colour;
        text += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
            path.join(" ")
        );
        for ((x, y), value) in points.iter().zip(&values) {
            text += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\n");
            text += &label(*x, y - 10.0, "middle", &format!("{value:.*}", self.decimals));
        }
        text
    }

    /// Three lines across the chart, each with its value.
    fn grid(&self, top: f64) -> String {
        let line = |part: f64| {
            let (left, right, y) = (self.left, self.left + CHART.0, height(part * top, top));
            format!(
                "<line x1=\"{left}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\" stroke=\"{TEXT}\" stroke-opacity=\"0.4\"/>\n{}",
                label(left - 8.0, y + 4.0, "end", &format!("{}", part * top))
            )
        };
        [0.0, 0.5, 1.0].into_iter().map(line).collect()
    }
}

fn label(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n")
}

/// The y of a value. A difference of memory may be below zero; it is drawn at zero.
fn height(value: f64, top: f64) -> f64 {
    TOP + CHART.1 * (1.0 - value.max(0.0) / top)
}

/// How far to the right a size is, from 0 to 1, on a logarithmic scale from the first to the last.
fn share(size: u32, sizes: &[u32]) -> f64 {
    let log = |size: Option<&u32>| size.map_or(0.0, |size| f64::from(*size).ln());
    let (first, last) = (log(sizes.first()), log(sizes.last()));
    if last <= first {
        return 0.5;
    }
    (log(Some(&size)) - first) / (last - first)
}

/// The next round number: 1, 2 or 5, and zeros.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(value.log10().floor());
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| round * unit >= value);
    round.unwrap_or(10.0) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(services: u32, memory: f64) -> Figures {
        Figures {
            services,
            cpu: 3.25,
            memory,
            ..Figures::default()
        }
    }

    /// The elements that are open at the end, or closed without being open.
    fn unclosed(svg: &str) -> Vec<String> {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            let name = tag.split(' ').next().unwrap().to_owned();
            match name.strip_prefix('/') {
                Some(closed) if open.last().is_some_and(|last| last == closed) => drop(open.pop()),
                _ if tag.ends_with('/') => {}
                _ => open.push(name),
            }
        }
        open
    }

    #[test]
    fn every_size_has_a_marker_in_both_charts_and_its_number() {
        let svg = draw(&[figures(10_000, 7.5), figures(1_000, -0.5), figures(4_000, 8.0)]);
        assert_eq!(unclosed(&svg), Vec::<String>::new());
        assert_eq!(svg.matches("<circle ").count(), 2 * 3);
        for size in ["1,000", "4,000", "10,000"] {
            assert_eq!(svg.matches(&format!(">{size}</text>")).count(), 2, "{size}");
            assert!(svg.contains(&format!("{size} services: ")), "{size}");
        }
        assert!(svg.contains("role=\"img\"") && svg.contains(">3.25</text>") && svg.contains(">-0.5</text>"));
        assert_eq!(unclosed("<a><b/><c></a>"), ["a", "c", "/a"]);
    }

    #[test]
    fn sizes_are_on_a_logarithmic_scale() {
        let sizes = [100, 1_000, 10_000];
        let shares = sizes.map(|size| (share(size, &sizes) * 100.0).round());
        assert_eq!(shares, [0.0, 50.0, 100.0]);
        assert!((share(7, &[7]) - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let ends = [0.3, 1.0, 3.2, 7.0, 45.0, 0.0, -1.0].map(ceiling);
        for (end, expected) in ends.into_iter().zip([0.5, 1.0, 5.0, 10.0, 50.0, 1.0, 1.0]) {
            assert!((end - expected).abs() < 1e-9, "{end} instead of {expected}");
        }
    }
}
