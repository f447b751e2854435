//! Which setting will give a picture a score, foretold from what the picture shows.

use super::{content::Content, correct::Scale, features::Features};
use crate::{encode::Encoder, settings::Effort};

/// Of how many numbers predictions are made.
pub const INPUTS: usize = 20;

/// The least and the most of each plain input in the pictures that the table was made from: of more it says nothing.
const SEEN: [(f32, f32); 10] = [
    (-0.3, 3.6),
    (-0.9, 3.4),
    (-0.2, 3.5),
    (0.8, 4.1),
    (-0.7, 3.9),
    (0.0, 1.0),
    (0.0, 1.0),
    (-4.6, -1.4),
    (0.0, 1.0),
    (-5.5, 1.0),
];

/// What predictions are made from. Amounts count by their logarithms; the first four, how strong what changes is by its
/// fineness, also by their products.
pub(crate) fn inputs(features: &Features) -> [f32; INPUTS] {
    let mut inputs = [0.0; INPUTS];
    let plain = [
        (0.5 + features.gradient).ln(),
        (0.1 + features.fine).ln(),
        (0.3 + features.middle).ln(),
        (1.0 + features.coarse).ln(),
        (0.5 + features.color_gradient).ln(),
        features.flat,
        features.same,
        (0.01 + features.edges).ln(),
        features.brightness / 255.0,
        features.log_pixels - 19.0,
    ];
    for (at, (input, (least, most))) in plain.into_iter().zip(SEEN).enumerate() {
        inputs[at] = input.clamp(least, most);
    }
    let pairs = (0..4).flat_map(|one| (one..4).map(move |other| (one, other)));
    for (at, (one, other)) in pairs.enumerate() {
        inputs[10 + at] = inputs[one] * inputs[other];
    }
    inputs
}

/// Pictures for which one model holds: those that are kept alike ([`way`](super::way::way)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Photograph,
    Drawn,
}

/// One encoder at one effort, for one kind of picture.
struct Model {
    of: (Encoder, Effort, Kind),
    /// The setting for a score of 72 where all inputs are 0.
    at_72: f32,
    /// For each point of the score, for each of them times the first input, and for its square.
    per_point: f32,
    per_point_and_gradient: f32,
    per_point_squared: f32,
    /// For each input.
    weights: [f32; INPUTS],
}

/// The setting that is likely to give a picture that shows this the score of `target`, and how settings run there.
pub(crate) fn predict(of: (Encoder, Effort, Content), features: &Features, target: f32) -> (f32, Scale) {
    let model = model(of);
    let inputs = inputs(features);
    let per_point = model.per_point + model.per_point_and_gradient * inputs[0];
    let points = within_turn(target - 72.0, per_point, model.per_point_squared);
    let shown: f32 = model.weights.iter().zip(inputs).map(|(weight, input)| weight * input).sum();
    let setting = model.at_72 + shown + (per_point + model.per_point_squared * points) * points;
    let Range { scale, foretold: (low, high) } = range(of.0);
    // The slope at the target; never one that runs the other way.
    let slope = (per_point + 2.0 * model.per_point_squared * points) / scale.per_point;
    let scale = Scale { per_point: scale.per_point * slope.clamp(0.3, 4.0), ..scale };
    (scale.clamped(setting.clamp(low, high)), scale)
}

/// Points up to where the curve turns round: beyond, a better score would ask for a worse setting.
fn within_turn(points: f32, per_point: f32, squared: f32) -> f32 {
    let turn = -per_point / (2.0 * squared);
    if !turn.is_finite() {
        points
    } else if turn < 0.0 {
        points.max(turn)
    } else {
        points.min(turn)
    }
}

/// How an encoder's settings run, and between which they are foretold: those that the table was made from.
struct Range {
    scale: Scale,
    foretold: (f32, f32),
}

const fn range(encoder: Encoder) -> Range {
    let (worst, best, grain, per_point, foretold) = match encoder {
        // 0 is without loss, which is another thing.
        Encoder::Libaom => (60.0, 2.0, 1.0, -0.8, (10.0, 52.0)),
        Encoder::Ravif => (10.0, 99.0, 1.0, 1.5, (35.0, 85.0)),
        Encoder::Libwebp => (5.0, 100.0, 0.5, 1.7, (30.0, 96.0)),
        Encoder::Mozjpeg | Encoder::Png => (10.0, 98.0, 1.0, 1.4, (30.0, 95.0)),
    };
    Range { scale: Scale { worst, best, grain, per_point }, foretold }
}

fn model((encoder, effort, content): (Encoder, Effort, Content)) -> &'static Model {
    let kind = match (encoder, content) {
        (_, Content::Photograph) | (Encoder::Mozjpeg, Content::Mixed) => Kind::Photograph,
        _ => Kind::Drawn,
    };
    MODELS.iter().find(|model| model.of == (encoder, effort, kind)).unwrap_or(&MODELS[0])
}

/// By `cargo run -p lightmeter-image --example calibrate`, which prints these lines: least squares over what it was given
/// (`docs/performance.md`).
const MODELS: [Model; 16] = [
    Model {
        of: (Encoder::Libaom, Effort::FirstView, Kind::Drawn),
        at_72: 41.3925,
        per_point: -0.9435,
        per_point_and_gradient: -0.0106,
        per_point_squared: -0.0139,
        weights: [
            -8.6997, 0.9307, 6.4690, 1.9859, -1.6859, 0.9795, 0.4108, 4.8126, -1.0794, -0.9465, 6.8107, -3.6895,
            -1.6500, -4.8138, 9.7064, -6.2372, 0.0501, -0.9263, -0.3166, 2.2237,
        ],
    },
    Model {
        of: (Encoder::Libaom, Effort::FirstView, Kind::Photograph),
        at_72: 19.5650,
        per_point: -1.1153,
        per_point_and_gradient: 0.0004,
        per_point_squared: -0.0198,
        weights: [
            -1.1454, -5.8678, -11.6877, -6.1970, -1.8839, 1.6863, 0.0303, -0.9110, 8.3757, -0.3771, 0.3843, -0.5619,
            0.1734, 4.9775, -4.4687, 3.5670, 0.2046, 1.4420, -4.7692, 3.9283,
        ],
    },
    Model {
        of: (Encoder::Libaom, Effort::Refined, Kind::Drawn),
        at_72: 47.5578,
        per_point: -0.9229,
        per_point_and_gradient: 0.0140,
        per_point_squared: -0.0124,
        weights: [
            -1.4830, -6.5045, 4.7537, 2.0115, -0.7079, -2.1770, 15.4983, 6.8342, -2.4151, -0.4233, 1.8528, 0.2115,
            -3.6719, -2.7998, 5.1764, -1.8909, 1.2026, -1.0250, 0.4983, 1.3360,
        ],
    },
    Model {
        of: (Encoder::Libaom, Effort::Refined, Kind::Photograph),
        at_72: 34.7927,
        per_point: -1.0412,
        per_point_and_gradient: -0.0108,
        per_point_squared: -0.0170,
        weights: [
            0.3887, -4.9172, -10.2094, -6.3383, -1.9432, 1.1179, 0.6590, 1.8221, 6.6364, -0.2856, -0.0663, -2.3662,
            -0.6433, 3.6488, -2.8549, 4.1093, -0.1918, 1.9979, -3.9958, 4.0655,
        ],
    },
    Model {
        of: (Encoder::Libwebp, Effort::FirstView, Kind::Drawn),
        at_72: -75.3532,
        per_point: 1.6735,
        per_point_and_gradient: 0.2232,
        per_point_squared: 0.0275,
        weights: [
            -26.5673, 19.0650, -10.9219, -3.8334, 11.9916, 5.2255, 0.6189, -35.3135, -3.5163, -0.4799, -4.0007, 8.0940,
            -0.1632, 15.6196, -15.6390, 8.6762, -13.1992, -0.1125, 11.9665, -4.9371,
        ],
    },
    Model {
        of: (Encoder::Libwebp, Effort::FirstView, Kind::Photograph),
        at_72: 48.5290,
        per_point: 2.3421,
        per_point_and_gradient: -0.2117,
        per_point_squared: -0.0027,
        weights: [
            -3.1984, 7.0456, 13.3328, 13.1973, 3.4339, 3.8591, -2.9280, -5.9644, -15.2164, 0.8417, -1.5843, -1.4782,
            2.6505, -5.1649, 6.1318, -8.4762, 3.3469, -1.7164, 9.4743, -9.4302,
        ],
    },
    Model {
        of: (Encoder::Libwebp, Effort::Refined, Kind::Drawn),
        at_72: -44.1590,
        per_point: 1.4020,
        per_point_and_gradient: 0.1685,
        per_point_squared: 0.0313,
        weights: [
            -16.1001, 7.1343, -5.2623, -2.7243, 9.1770, 0.2771, 0.4167, -27.2986, -4.4105, -0.3090, 2.7827, 4.8470,
            -1.3094, 3.6795, -10.0091, 0.0503, -5.5402, 2.1304, 10.7971, -2.7683,
        ],
    },
    Model {
        of: (Encoder::Libwebp, Effort::Refined, Kind::Photograph),
        at_72: 54.3518,
        per_point: 1.9226,
        per_point_and_gradient: -0.0511,
        per_point_squared: 0.0041,
        weights: [
            -0.6813, 8.2617, 13.2692, 8.9403, 3.9409, 2.0760, -1.3608, -4.9647, -14.5308, 0.9409, -1.9041, -0.7298,
            1.4786, -5.1202, 4.8013, -6.7197, 1.9147, -1.2109, 8.0998, -7.5940,
        ],
    },
    Model {
        of: (Encoder::Mozjpeg, Effort::FirstView, Kind::Drawn),
        at_72: 146.7945,
        per_point: 2.4832,
        per_point_and_gradient: -0.3449,
        per_point_squared: 0.0100,
        weights: [
            2.9061, -2.1312, -8.5679, -7.2713, -0.3997, -45.1218, 1.9846, 8.8515, -0.0143, 0.5692, -20.5731, -6.0945,
            0.4186, 8.9930, -1.5693, 15.2760, -1.1780, 9.9957, -1.6588, -3.7790,
        ],
    },
    Model {
        of: (Encoder::Mozjpeg, Effort::FirstView, Kind::Photograph),
        at_72: 104.2983,
        per_point: 1.7441,
        per_point_and_gradient: 0.0718,
        per_point_squared: 0.0088,
        weights: [
            -2.4411, -8.1919, 6.0269, 12.7415, 8.9958, 5.0746, 3.1115, 7.7083, -15.0943, 1.2593, 3.8905, 4.6732,
            2.0900, -4.2101, -1.8746, -9.5820, 8.6616, -6.8947, 10.0401, -9.7387,
        ],
    },
    Model {
        of: (Encoder::Mozjpeg, Effort::Refined, Kind::Drawn),
        at_72: 60.2605,
        per_point: 2.2665,
        per_point_and_gradient: -0.2177,
        per_point_squared: 0.0204,
        weights: [
            -0.8210, -4.3274, -4.9534, -9.3230, -1.4728, -31.6744, 2.7501, -9.5583, -7.7802, 3.2184, -5.3019, -2.6926,
            -1.2854, 10.0748, -6.5228, 2.3256, 7.8627, 0.7333, 3.2515, -3.2378,
        ],
    },
    Model {
        of: (Encoder::Mozjpeg, Effort::Refined, Kind::Photograph),
        at_72: 107.5272,
        per_point: 1.5602,
        per_point_and_gradient: 0.1027,
        per_point_squared: 0.0121,
        weights: [
            -1.9941, -4.2558, 5.9831, 10.1571, 6.3110, 1.1497, 4.8077, 7.1608, -13.4872, 1.1262, 3.7740, 3.8654,
            1.7735, -1.4785, -0.7475, -9.0852, 8.4130, -8.0688, 7.5665, -8.8738,
        ],
    },
    Model {
        of: (Encoder::Ravif, Effort::FirstView, Kind::Drawn),
        at_72: 26.4806,
        per_point: 1.2453,
        per_point_and_gradient: 0.1755,
        per_point_squared: -0.0069,
        weights: [
            4.5000, -5.3135, -3.0020, -12.4218, 0.7715, -0.3642, -0.9073, -12.5591, 1.9853, 4.5884, -19.0638, -3.4602,
            2.4580, 12.5803, -7.2347, -3.7039, 1.5503, 10.7560, 14.9489, -8.1934,
        ],
    },
    Model {
        of: (Encoder::Ravif, Effort::FirstView, Kind::Photograph),
        at_72: 77.7597,
        per_point: 1.9450,
        per_point_and_gradient: 0.1185,
        per_point_squared: 0.0319,
        weights: [
            5.6140, 11.4530, 12.2786, 4.8903, 1.1161, -8.8462, -2.9914, -1.2099, -13.3930, 2.3136, -2.4894, -5.7076,
            0.9782, -0.6301, 1.0377, -0.9337, 1.3911, 3.8060, 3.9928, -8.7145,
        ],
    },
    Model {
        of: (Encoder::Ravif, Effort::Refined, Kind::Drawn),
        at_72: 33.4224,
        per_point: 1.4421,
        per_point_and_gradient: 0.0839,
        per_point_squared: 0.0023,
        weights: [
            2.6484, -3.9671, -0.9494, -9.2664, 0.1016, -3.0394, -6.6062, -10.2498, -0.5410, 1.6584, -10.3593, 0.6607,
            0.3007, 9.6527, -6.9603, -4.5259, 2.3481, 3.6235, 12.3327, -7.0966,
        ],
    },
    Model {
        of: (Encoder::Ravif, Effort::Refined, Kind::Photograph),
        at_72: 63.9765,
        per_point: 1.9382,
        per_point_and_gradient: -0.0244,
        per_point_squared: 0.0264,
        weights: [
            4.6133, 9.1431, 9.7535, 3.6071, 0.5866, -4.7096, -6.9404, -4.9894, -12.3585, 2.2221, -1.0410, -5.2575,
            0.5011, 1.1611, 1.2020, -2.1814, 2.5716, 1.6593, 4.0451, -8.6357,
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Encoder; 4] = [Encoder::Libaom, Encoder::Ravif, Encoder::Libwebp, Encoder::Mozjpeg];

    fn any_features() -> impl Strategy<Value = Features> {
        let amounts = (0.0f32..120.0, 0.0f32..90.0, 0.0f32..90.0, 0.0f32..250.0, 0.0f32..90.0);
        let shares = (0.0f32..=1.0, 0.0f32..=1.0, 0.0f32..=1.0, 0.0f32..=1.0);
        (amounts, shares, 0.0f32..=255.0, 0.0f32..27.0).prop_map(
            |(
                (gradient, fine, middle, coarse, color_gradient),
                (flat, same, edges, colors),
                brightness,
                log_pixels,
            )| {
                Features {
                    gradient,
                    fine,
                    middle,
                    coarse,
                    color_gradient,
                    flat,
                    same,
                    edges,
                    colors,
                    brightness,
                    log_pixels,
                }
            },
        )
    }

    #[test]
    fn every_encoder_has_a_model_of_its_own_at_each_effort() {
        for encoder in ALL {
            for effort in [Effort::FirstView, Effort::Refined] {
                for content in [Content::Photograph, Content::Graphic] {
                    assert_eq!(
                        (model((encoder, effort, content)).of.0, model((encoder, effort, content)).of.1),
                        (encoder, effort)
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_shown_the_setting_exists_and_better_never_keeps_less(
            features in any_features(),
            targets in (30.0f32..95.0, 30.0f32..95.0),
            encoder in prop::sample::select(ALL.to_vec()),
            content in prop::sample::select(vec![Content::Photograph, Content::Mixed, Content::Graphic]),
        ) {
            let of = (encoder, Effort::FirstView, content);
            let (low, high) = (targets.0.min(targets.1), targets.0.max(targets.1));
            let ((worse, scale), (better, _)) = (predict(of, &features, low), predict(of, &features, high));
            let is_there = |setting: f32| setting == scale.clamped(setting);
            prop_assert!(is_there(worse) && is_there(better));
            prop_assert!((better - worse) * scale.per_point.signum() >= 0.0, "{low}: {worse}, {high}: {better}");
        }
    }
}
