// After the main pass: a bloom chain (down, then up with additive blending) and tone mapping.

struct Varyings {
    @builtin(position) clip: vec4f,
    @location(0) uv: vec2f,
}

@group(0) @binding(0) var source: texture_2d<f32>;
@group(0) @binding(1) var linear_sampler: sampler;
@group(0) @binding(2) var bloom: texture_2d<f32>;

@vertex
fn vs_post(@builtin(vertex_index) index: u32) -> Varyings {
    let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u));
    return Varyings(vec4f(corner.x * 2.0 - 1.0, 1.0 - corner.y * 2.0, 0.0, 1.0), corner);
}

// Four bilinear taps: a 4x4 box.
fn box_filter(uv: vec2f, spread: f32) -> vec3f {
    let texel = spread / vec2f(textureDimensions(source));
    return 0.25 * (textureSample(source, linear_sampler, uv + texel * vec2f(-1.0, -1.0)).rgb
        + textureSample(source, linear_sampler, uv + texel * vec2f(1.0, -1.0)).rgb
        + textureSample(source, linear_sampler, uv + texel * vec2f(-1.0, 1.0)).rgb
        + textureSample(source, linear_sampler, uv + texel * vec2f(1.0, 1.0)).rgb);
}

@fragment
fn fs_bright(in: Varyings) -> @location(0) vec4f {
    let color = min(box_filter(in.uv, 1.0), vec3f(16.0));
    let brightness = max(color.r, max(color.g, color.b));
    return vec4f(color * (max(brightness - 1.0, 0.0) / max(brightness, 0.001)), 1.0);
}

@fragment
fn fs_down(in: Varyings) -> @location(0) vec4f {
    return vec4f(box_filter(in.uv, 1.0), 1.0);
}

@fragment
fn fs_up(in: Varyings) -> @location(0) vec4f {
    return vec4f(box_filter(in.uv, 0.75), 1.0);
}

fn tone_map(color: vec3f) -> vec3f {
    // A filmic curve with a toe and a shoulder, applied per channel.
    let a = color * (color * 2.51 + 0.03);
    let b = color * (color * 2.43 + 0.59) + 0.14;
    return clamp(a / b, vec3f(0.0), vec3f(1.0));
}

@fragment
fn fs_compose(in: Varyings) -> @location(0) vec4f {
    let color = textureSample(source, linear_sampler, in.uv).rgb + textureSample(bloom, linear_sampler, in.uv).rgb * 0.55;
    let offset = in.uv - 0.5;
    let vignette = 1.0 - dot(offset, offset) * 0.55;
    return vec4f(tone_map(color * vignette * 0.95), 1.0);
}
