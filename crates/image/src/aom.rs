//! libaom behind safe functions: one picture in, one frame out, and back. The only module of the pipeline that calls C
//! itself. Contexts live for one call and are destroyed on every way out.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_int, c_uint},
    mem::MaybeUninit,
    ptr,
};

use libaom_sys as ffi;

/// How chroma planes relate to luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subsampling {
    /// There are none.
    Monochrome,
    /// Half the size across and down (4:2:0).
    Half,
    /// Half the size across (4:2:2).
    HalfAcross,
    /// The same size (4:4:4).
    Full,
}

/// A frame in 8 bits; planes have rows without gaps.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) subsampling: Subsampling,
    pub(super) planes: [Vec<u8>; 3],
    pub(super) full_range: bool,
    /// Colour primaries, by the code points of ITU-T H.273; so are the next two.
    pub(super) primaries: u32,
    pub(super) transfer: u32,
    pub(super) matrix: u32,
}

impl Frame {
    /// The size of the second and third plane.
    pub(super) const fn chroma_size(&self) -> (u32, u32) {
        match self.subsampling {
            Subsampling::Monochrome => (0, 0),
            Subsampling::Half => (self.width.div_ceil(2), self.height.div_ceil(2)),
            Subsampling::HalfAcross => (self.width.div_ceil(2), self.height),
            Subsampling::Full => (self.width, self.height),
        }
    }

    const fn plane_size(&self, plane: usize) -> (u32, u32) {
        if plane == 0 { (self.width, self.height) } else { self.chroma_size() }
    }
}

/// What an encoder is told beside the frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncoderSettings {
    /// 0 is without loss, 63 the coarsest.
    pub(super) quantizer: u32,
    /// 0 is the slowest, 9 the fastest.
    pub(super) speed: i32,
    /// How many threads it may use, at least one.
    pub(super) threads: usize,
}

/// The most threads that one encode is given: more do not help a single picture.
const MAX_THREADS: c_uint = 16;

/// Why libaom gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AomError {
    /// It said so itself.
    #[error("libaom: {0}")]
    Codec(String),
    /// There is no frame in the data.
    #[error("libaom gave no frame")]
    NoFrame,
    /// The frame has another size than the file says.
    #[error("the frame has another size than the file says")]
    OtherSize,
    /// A layout that is not understood.
    #[error("the frame has a layout that is not understood")]
    Layout,
}

/// A context that is destroyed with its owner.
struct Context(Box<ffi::aom_codec_ctx_t>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context was initialized by `initialized`, which is the only place that makes one.
        unsafe { ffi::aom_codec_destroy(&raw mut *self.0) };
    }
}

impl Context {
    /// Makes a context with `init`, one of libaom's two.
    fn initialized(init: impl FnOnce(*mut ffi::aom_codec_ctx_t) -> ffi::aom_codec_err_t) -> Result<Self, AomError> {
        // SAFETY: the context is plain data (integers and pointers), for which zeroes are valid; `init` fills it.
        let mut context: Box<ffi::aom_codec_ctx_t> = Box::new(unsafe { MaybeUninit::zeroed().assume_init() });
        let code = init(&raw mut *context);
        // One that failed to initialize must not be destroyed.
        if code == ffi::AOM_CODEC_OK { Ok(Self(context)) } else { Err(AomError::Codec(message(code))) }
    }

    fn ptr(&mut self) -> *mut ffi::aom_codec_ctx_t {
        &raw mut *self.0
    }

    fn set(&mut self, name: &CStr, value: &CStr) -> Result<(), AomError> {
        // SAFETY: the context is initialized, both strings end with a zero and are only read.
        check(unsafe { ffi::aom_codec_set_option(self.ptr(), name.as_ptr(), value.as_ptr()) })
    }

    /// Sets a control that takes an `int` (or an `unsigned int`, which is passed alike for small values).
    fn control(&mut self, id: c_uint, value: c_int) -> Result<(), AomError> {
        let Ok(id) = c_int::try_from(id) else { return Err(AomError::Layout) };
        // SAFETY: the context is initialized; every id used in this module takes one integer.
        check(unsafe { ffi::aom_codec_control(self.ptr(), id, value) })
    }
}

fn check(code: ffi::aom_codec_err_t) -> Result<(), AomError> {
    if code == ffi::AOM_CODEC_OK { Ok(()) } else { Err(AomError::Codec(message(code))) }
}

fn message(code: ffi::aom_codec_err_t) -> String {
    // SAFETY: libaom returns a constant string for any code.
    let text = unsafe { ffi::aom_codec_err_to_string(code) };
    if text.is_null() {
        return format!("error {code}");
    }
    // SAFETY: not null, and a constant that ends with a zero.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Decodes one still picture, which must have the size that the file says. Data that holds more than one frame is refused:
/// only of the first is the size known before it is decoded.
///
/// # Errors
/// [`AomError`]
pub(super) fn decode(data: &[u8], size: (u32, u32)) -> Result<Frame, AomError> {
    check_one_frame(data)?;
    check_announced_size(data, size)?;
    let config = ffi::aom_codec_dec_cfg { threads: 1, w: 0, h: 0, allow_lowbitdepth: 1 };
    let mut context = Context::initialized(|context| {
        // SAFETY: `context` is valid and zeroed, the interface is libaom's constant, `config` outlives the call.
        unsafe {
            ffi::aom_codec_dec_init_ver(
                context,
                ffi::aom_codec_av1_dx(),
                &raw const config,
                0,
                ffi::AOM_DECODER_ABI_VERSION.cast_signed(),
            )
        }
    })?;
    // SAFETY: the context is initialized; the data is read during the call only.
    check(unsafe { ffi::aom_codec_decode(context.ptr(), data.as_ptr(), data.len(), ptr::null_mut()) })?;
    let mut iterator = ptr::null();
    // SAFETY: the context is initialized and the iterator starts as null, as the interface asks.
    let image = unsafe { ffi::aom_codec_get_frame(context.ptr(), &raw mut iterator) };
    // SAFETY: null, or an image that belongs to the context and stays until it is used again; it is copied before.
    let image = unsafe { image.as_ref() }.ok_or(AomError::NoFrame)?;
    if (image.d_w, image.d_h) != size {
        return Err(AomError::OtherSize);
    }
    copy_frame(image)
}

/// Walks over the units of AV1 data (AV1 specification, 5.3): at most one sequence header and one frame.
fn check_one_frame(data: &[u8]) -> Result<(), AomError> {
    const SEQUENCE_HEADER: u8 = 1;
    const FRAME_HEADER: u8 = 3;
    const FRAME: u8 = 6;
    let (mut sequences, mut frames) = (0, 0);
    let mut rest = data;
    while let [header, behind @ ..] = rest {
        let (has_extension, has_size) = (header & 4 != 0, header & 2 != 0);
        let behind = if has_extension { behind.get(1..).ok_or(AomError::Layout)? } else { behind };
        let (len, content) = if has_size { leb128(behind).ok_or(AomError::Layout)? } else { (behind.len(), behind) };
        match header >> 3 & 0xF {
            SEQUENCE_HEADER => sequences += 1,
            FRAME_HEADER | FRAME => frames += 1,
            _ => {}
        }
        rest = content.get(len..).ok_or(AomError::Layout)?;
    }
    if sequences == 1 && frames == 1 { Ok(()) } else { Err(AomError::Layout) }
}

/// A number in groups of seven bits (AV1 specification, 4.10.5), and what stands behind it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let len = bytes.iter().take(8).position(|byte| byte & 0x80 == 0)? + 1;
    let groups = bytes[..len].iter().rev();
    let number = groups.fold(0u64, |number, byte| number << 7 | u64::from(byte & 0x7F));
    Some((usize::try_from(number).ok()?, &bytes[len..]))
}

/// Reads the size in the sequence header before anything is allocated for it.
fn check_announced_size(data: &[u8], size: (u32, u32)) -> Result<(), AomError> {
    // SAFETY: plain integers, for which zeroes are valid.
    let mut info: ffi::aom_codec_stream_info_t = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the data is read during the call only, `info` is valid.
    check(unsafe {
        ffi::aom_codec_peek_stream_info(ffi::aom_codec_av1_dx(), data.as_ptr(), data.len(), &raw mut info)
    })?;
    if (info.w, info.h) == size { Ok(()) } else { Err(AomError::OtherSize) }
}

fn copy_frame(image: &ffi::aom_image_t) -> Result<Frame, AomError> {
    let subsampling = match (image.monochrome != 0, image.x_chroma_shift, image.y_chroma_shift) {
        (true, ..) => Subsampling::Monochrome,
        (false, 1, 1) => Subsampling::Half,
        (false, 1, 0) => Subsampling::HalfAcross,
        (false, 0, 0) => Subsampling::Full,
        _ => return Err(AomError::Layout),
    };
    let mut frame = Frame {
        width: image.d_w,
        height: image.d_h,
        subsampling,
        planes: Default::default(),
        full_range: image.range == ffi::AOM_CR_FULL_RANGE,
        primaries: image.cp,
        transfer: image.tc,
        matrix: image.mc,
    };
    for plane in 0..3 {
        let (width, height) = frame.plane_size(plane);
        if width > 0 {
            frame.planes[plane] = copy_plane(image, plane, width as usize, height as usize)?;
        }
    }
    Ok(frame)
}

fn copy_plane(image: &ffi::aom_image_t, plane: usize, width: usize, height: usize) -> Result<Vec<u8>, AomError> {
    let is_wide = image.fmt & ffi::AOM_IMG_FMT_HIGHBITDEPTH != 0;
    let sample_bytes = if is_wide { 2 } else { 1 };
    let start = image.planes[plane];
    let stride = usize::try_from(image.stride[plane]).map_err(|_| AomError::Layout)?;
    if start.is_null() || stride < width * sample_bytes || !(8..=12).contains(&image.bit_depth) {
        return Err(AomError::Layout);
    }
    let excess_bits = image.bit_depth - 8;
    let mut samples = Vec::with_capacity(width * height);
    for row in 0..height {
        // SAFETY: libaom's planes have at least `height` rows of `stride` bytes, of which `width` samples are used; the
        // size was checked against the image's own by the caller.
        let bytes = unsafe { std::slice::from_raw_parts(start.add(row * stride), width * sample_bytes) };
        if is_wide {
            samples
                .extend(bytes.chunks_exact(2).map(|pair| reduced(u16::from_ne_bytes([pair[0], pair[1]]), excess_bits)));
        } else {
            samples.extend_from_slice(bytes);
        }
    }
    Ok(samples)
}

/// A sample with `excess` bits more than 8, rounded to 8.
fn reduced(sample: u16, excess: u32) -> u8 {
    let half = (1u32 << excess) >> 1;
    u8::try_from((u32::from(sample) + half) >> excess).unwrap_or(u8::MAX)
}

/// Encodes one still picture to AV1 data.
///
/// # Errors
/// [`AomError`]
pub(super) fn encode(frame: &Frame, settings: EncoderSettings) -> Result<Vec<u8>, AomError> {
    let config = encoder_config(frame, settings.threads)?;
    let mut context = Context::initialized(|context| {
        // SAFETY: `context` is valid and zeroed, the interface is libaom's constant, `config` outlives the call.
        unsafe {
            ffi::aom_codec_enc_init_ver(
                context,
                ffi::aom_codec_av1_cx(),
                &raw const config,
                0,
                ffi::AOM_ENCODER_ABI_VERSION.cast_signed(),
            )
        }
    })?;
    tune(&mut context, frame, settings)?;
    let image = wrap(frame)?;
    // SAFETY: the context is initialized; `image` points into `frame`, both of which outlive the call, and libaom copies
    // the picture.
    check(unsafe { ffi::aom_codec_encode(context.ptr(), &raw const image, 0, 1, 0) })?;
    let mut data = Vec::new();
    take_packets(&mut context, &mut data);
    // SAFETY: as above; no picture means that there are no more.
    check(unsafe { ffi::aom_codec_encode(context.ptr(), ptr::null(), 0, 1, 0) })?;
    take_packets(&mut context, &mut data);
    if data.is_empty() { Err(AomError::NoFrame) } else { Ok(data) }
}

fn encoder_config(frame: &Frame, threads: usize) -> Result<ffi::aom_codec_enc_cfg_t, AomError> {
    let mut config = MaybeUninit::uninit();
    // SAFETY: the interface is libaom's constant, and the call fills the whole configuration where it succeeds.
    let mut config: ffi::aom_codec_enc_cfg_t = unsafe {
        check(ffi::aom_codec_enc_config_default(
            ffi::aom_codec_av1_cx(),
            config.as_mut_ptr(),
            ffi::AOM_USAGE_ALL_INTRA,
        ))?;
        config.assume_init()
    };
    config.g_w = frame.width;
    config.g_h = frame.height;
    config.g_limit = 1;
    config.g_threads = c_uint::try_from(threads).unwrap_or(1).clamp(1, MAX_THREADS);
    config.g_lag_in_frames = 0;
    config.g_profile = if frame.subsampling == Subsampling::Full { 1 } else { 0 };
    config.monochrome = c_uint::from(frame.subsampling == Subsampling::Monochrome);
    config.full_still_picture_hdr = 0;
    config.rc_end_usage = ffi::AOM_Q;
    Ok(config)
}

/// What makes the bundled libaom 3.11 better at pictures than newer versions' own image tuning (`docs/performance.md`).
fn tune(context: &mut Context, frame: &Frame, settings: EncoderSettings) -> Result<(), AomError> {
    let EncoderSettings { quantizer, speed, .. } = settings;
    context.control(ffi::AOME_SET_CPUUSED, speed)?;
    context.control(ffi::AOME_SET_CQ_LEVEL, c_int::try_from(quantizer.min(63)).unwrap_or(63))?;
    let code_point = |value: u32| c_int::try_from(value).unwrap_or(2);
    context.control(ffi::AV1E_SET_COLOR_PRIMARIES, code_point(frame.primaries))?;
    context.control(ffi::AV1E_SET_TRANSFER_CHARACTERISTICS, code_point(frame.transfer))?;
    context.control(ffi::AV1E_SET_MATRIX_COEFFICIENTS, code_point(frame.matrix))?;
    context.control(ffi::AV1E_SET_COLOR_RANGE, c_int::from(frame.full_range))?;
    if frame.subsampling == Subsampling::Monochrome {
        // An alpha plane: how it looks is not how it is seen.
        return Ok(());
    }
    let options: [(&CStr, &CStr); 6] = [
        (c"tune", c"ssim"),
        (c"enable-qm", c"1"),
        (c"qm-min", c"4"),
        (c"qm-max", c"10"),
        (c"deltaq-mode", c"0"),
        (c"dist-metric", c"qm-psnr"),
    ];
    options.into_iter().try_for_each(|(name, value)| context.set(name, value))
}

/// An image that points into the frame's planes.
fn wrap(frame: &Frame) -> Result<ffi::aom_image_t, AomError> {
    // SAFETY: integers and pointers, for which zeroes are valid; what libaom reads of it is filled in below.
    let mut image: ffi::aom_image_t = unsafe { MaybeUninit::zeroed().assume_init() };
    let (format, shift_x, shift_y) = match frame.subsampling {
        Subsampling::Monochrome | Subsampling::Half => (ffi::AOM_IMG_FMT_I420, 1, 1),
        Subsampling::HalfAcross => (ffi::AOM_IMG_FMT_I422, 1, 0),
        Subsampling::Full => (ffi::AOM_IMG_FMT_I444, 0, 0),
    };
    image.fmt = format;
    image.monochrome = c_int::from(frame.subsampling == Subsampling::Monochrome);
    image.cp = frame.primaries;
    image.tc = frame.transfer;
    image.mc = frame.matrix;
    image.range = if frame.full_range { ffi::AOM_CR_FULL_RANGE } else { ffi::AOM_CR_STUDIO_RANGE };
    (image.w, image.h) = (frame.width, frame.height);
    (image.d_w, image.d_h) = (frame.width, frame.height);
    (image.r_w, image.r_h) = (frame.width, frame.height);
    image.bit_depth = 8;
    (image.x_chroma_shift, image.y_chroma_shift) = (shift_x, shift_y);
    for plane in 0..3 {
        let (width, height) = frame.plane_size(plane);
        if frame.planes[plane].len() < width as usize * height as usize {
            return Err(AomError::Layout);
        }
        if width > 0 {
            // libaom does not write to a picture that it encodes.
            image.planes[plane] = frame.planes[plane].as_ptr().cast_mut();
            image.stride[plane] = c_int::try_from(width).map_err(|_| AomError::Layout)?;
        }
    }
    Ok(image)
}

fn take_packets(context: &mut Context, data: &mut Vec<u8>) {
    let mut iterator = ptr::null();
    loop {
        // SAFETY: the context is initialized and the iterator starts as null; a packet belongs to the context and stays
        // until the next call, before which it is copied.
        let packet = unsafe { ffi::aom_codec_get_cx_data(context.ptr(), &raw mut iterator).as_ref() };
        let Some(packet) = packet else { return };
        if packet.kind == ffi::AOM_CODEC_CX_FRAME_PKT {
            // SAFETY: for this kind the union holds a frame, whose buffer has `sz` bytes.
            let bytes = unsafe { std::slice::from_raw_parts(packet.data.frame.buf.cast::<u8>(), packet.data.frame.sz) };
            data.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: u32, height: u32) -> Frame {
        let samples = (0..width * height).map(|at| u8::try_from(at % 251).unwrap()).collect();
        Frame {
            width,
            height,
            subsampling: Subsampling::Monochrome,
            planes: [samples, Vec::new(), Vec::new()],
            full_range: true,
            primaries: 1,
            transfer: 13,
            matrix: 6,
        }
    }

    #[test]
    fn what_is_encoded_without_loss_decodes_to_the_same() {
        let frame = gray(37, 21);
        let data = encode(&frame, EncoderSettings { quantizer: 0, speed: 9, threads: 1 }).unwrap();
        let decoded = decode(&data, (37, 21)).unwrap();
        assert_eq!(decoded.planes[0], frame.planes[0]);
        assert_eq!((decoded.subsampling, decoded.full_range), (Subsampling::Monochrome, true));
    }

    #[test]
    fn data_of_another_size_than_the_file_says_is_refused_before_it_is_decoded() {
        let data = encode(&gray(64, 64), EncoderSettings { quantizer: 30, speed: 9, threads: 1 }).unwrap();
        assert_eq!(decode(&data, (32, 32)).unwrap_err(), AomError::OtherSize);
        assert!(decode(&data[..data.len() / 2], (64, 64)).is_err());
        assert!(decode(b"nonsense", (64, 64)).is_err());
        assert!(decode(b"", (64, 64)).is_err());
    }

    #[test]
    fn a_second_frame_is_refused_before_it_is_decoded() {
        let data = encode(&gray(64, 64), EncoderSettings { quantizer: 30, speed: 9, threads: 1 }).unwrap();
        assert!(decode(&data, (64, 64)).is_ok());
        assert_eq!(decode(&[data.clone(), data].concat(), (64, 64)).unwrap_err(), AomError::Layout);
        assert_eq!(leb128(&[0xE5, 0x8E, 0x26, 7]), Some((624_485, &[7][..])));
        assert_eq!(leb128(&[0x80; 9]), None);
    }

    #[test]
    fn samples_are_rounded_to_eight_bits() {
        assert_eq!([reduced(0, 2), reduced(2, 2), reduced(1020, 2), reduced(1023, 2)], [0, 1, 255, 255]);
        assert_eq!(reduced(200, 0), 200);
    }
}
