//! What every display's tests ask of its bundle.

use crate::drawing::DENSITY;
use crate::mime::Display;
use crate::paper::MARGIN;
use crate::raster::tests::decode;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::HashSet;

/// Parses HTML without its scripts; what we write is XML as well.
pub(crate) fn page(html: &str) -> roxmltree::Document<'_> {
    roxmltree::Document::parse(html).unwrap_or_else(|error| panic!("not well formed: {error}"))
}

/// The HTML of a display with its scripts cut out.
pub(crate) fn without_scripts(html: &str) -> String {
    let mut kept = String::new();
    let mut rest = html;
    while let Some(start) = rest.find("<script") {
        kept.push_str(&rest[..start]);
        let end = rest[start..].find("</script>").expect("each script ends") + start;
        rest = &rest[end + "</script>".len()..];
    }
    kept + rest
}

/// Checks what holds for every drawn display, `size` being its CSS pixels; returns its HTML, scripts included.
pub(crate) fn check_bundle(display: &impl Display, size: (u32, u32)) -> String {
    let bundle = display.bundle();
    let plain = bundle.plain().to_string();
    assert!(
        plain.ends_with('.') && !plain.contains('\n'),
        "a sentence: {plain}"
    );

    for mime in ["text/html", "image/png"] {
        let alt = bundle.metadata[mime]["alt"].as_str().unwrap();
        assert!(!alt.is_empty() && plain.starts_with(alt), "{mime}: {alt}");
    }

    let size = (size.0 + 2 * MARGIN, size.1 + 2 * MARGIN);
    let png = STANDARD.decode(bundle.get("image/png").unwrap()).unwrap();
    let (width, height, pixels) = decode(&png);
    assert_eq!(
        (width as u32, height as u32),
        (size.0 * DENSITY, size.1 * DENSITY)
    );
    assert_eq!(bundle.metadata["image/png"]["width"], size.0);
    assert_eq!(bundle.metadata["image/png"]["height"], size.1);
    assert!(
        pixels.iter().all(|pixel| pixel[3] == 255),
        "the still picture has a ground of its own"
    );
    assert!(
        pixels.iter().collect::<HashSet<_>>().len() >= 2,
        "the still picture is not blank"
    );

    let html = bundle.get("text/html").unwrap().to_string();
    let markup = without_scripts(&html);
    let page = page(&markup);
    let root = page.root_element();
    assert!(root.has_tag_name("figure"));
    assert!(
        root.attribute("id")
            .is_some_and(|id| id.starts_with("jukebox-"))
    );
    assert_ne!(
        display.bundle().get("text/html"),
        Some(html.as_str()),
        "ids differ from display to display"
    );
    let svg = page
        .descendants()
        .find(|node| node.tag_name().name() == "svg")
        .unwrap();
    assert_eq!(svg.attribute("role"), Some("img"));
    assert!(
        svg.attribute("aria-label")
            .is_some_and(|label| !label.is_empty())
    );
    let img = page
        .descendants()
        .find(|node| node.has_tag_name("img"))
        .unwrap();
    assert!(img.attribute("alt").is_some_and(|alt| !alt.is_empty()));
    for node in page.descendants() {
        for place in ["href", "src"]
            .iter()
            .filter_map(|name| node.attribute(*name))
        {
            assert!(
                place.starts_with("data:") || !place.contains("//"),
                "nothing comes from a network: {}",
                &place[..place.len().min(80)]
            );
        }
        for colour in ["fill", "stroke"]
            .iter()
            .filter_map(|name| node.attribute(*name))
        {
            assert!(
                !colour.starts_with('#'),
                "{colour} does not follow the theme"
            );
        }
    }
    // Escaped, or as CDATA, which a sanitiser drops whole: no label stays behind without its drawing.
    for open in markup.match_indices("<text") {
        let content = markup[open.0..].split_once('>').unwrap().1;
        assert!(
            content.starts_with("<![CDATA["),
            "{}",
            &content[..40.min(content.len())]
        );
    }
    html
}
