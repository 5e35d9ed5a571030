// What every shader of the scene shares: the per-frame constants and the sky.

struct Light {
    // xyz: world position, w: radius of influence
    position: vec4f,
    color: vec4f,
}

struct Globals {
    view_projection: mat4x4f,
    inverse_view_projection: mat4x4f,
    sun_view_projection: mat4x4f,
    eye: vec4f,
    sun_direction: vec4f,
    sun_color: vec4f,
    lights: array<Light, 6>,
}

@group(0) @binding(0) var<uniform> globals: Globals;

fn sky(direction: vec3f) -> vec3f {
    let height = clamp(direction.y, 0.0, 1.0);
    let horizon = vec3f(0.80, 0.27, 0.13);
    let middle = vec3f(0.20, 0.09, 0.24);
    let zenith = vec3f(0.015, 0.02, 0.08);
    var color = mix(horizon, middle, smoothstep(0.0, 0.11, height));
    color = mix(color, zenith, smoothstep(0.05, 0.40, height));
    let toward_sun = max(dot(direction, globals.sun_direction.xyz), 0.0);
    let squared = toward_sun * toward_sun;
    let fourth = squared * squared;
    let sixteenth = fourth * fourth * fourth * fourth;
    return color + globals.sun_color.rgb * (0.06 * fourth + 0.22 * sixteenth);
}
