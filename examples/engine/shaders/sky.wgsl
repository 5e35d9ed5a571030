// The background: one triangle at the far plane.

struct Varyings {
    @builtin(position) clip: vec4f,
    @location(0) ndc: vec2f,
}

@vertex
fn vs_sky(@builtin(vertex_index) index: u32) -> Varyings {
    let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u)) * 2.0 - 1.0;
    return Varyings(vec4f(corner, 1.0, 1.0), corner);
}

@fragment
fn fs_sky(in: Varyings) -> @location(0) vec4f {
    let far = globals.inverse_view_projection * vec4f(in.ndc, 1.0, 1.0);
    let direction = normalize(far.xyz / far.w - globals.eye.xyz);
    let disc = smoothstep(0.9975, 0.9982, dot(direction, globals.sun_direction.xyz));
    return vec4f(sky(direction) + globals.sun_color.rgb * disc * 2.5, 1.0);
}
