// Layers with round corners, and their shadows.

@group(0) @binding(0) var content: texture_2d<f32>;
@group(0) @binding(1) var linear: sampler;

struct Look {
    // Left, top, width and height, in shares of the target.
    @location(0) place: vec4f,
    // Width and height in pixels, radius of the corners in pixels, opacity.
    @location(1) shape: vec4f,
}

struct Corner {
    @builtin(position) position: vec4f,
    @location(0) at: vec2f,
    @location(1) @interpolate(flat) shape: vec4f,
}

@vertex
fn corner(@builtin(vertex_index) index: u32, look: Look) -> Corner {
    let at = vec2f(f32(index & 1u), f32(index >> 1u));
    let place = look.place.xy + at * look.place.zw;
    return Corner(vec4f(place.x * 2.0 - 1.0, 1.0 - place.y * 2.0, 0.0, 1.0), at, look.shape);
}

// Pixels from the edge of a rectangle with round corners; negative inside.
fn outside(at: vec2f, size: vec2f, radius: f32) -> f32 {
    let from_corner = abs((at - 0.5) * size) - 0.5 * size + radius;
    return length(max(from_corner, vec2f())) + min(max(from_corner.x, from_corner.y), 0.0) - radius;
}

@fragment
fn layers(corner: Corner) -> @location(0) vec4f {
    let texel = textureSample(content, linear, corner.at);
    let inside = clamp(0.5 - outside(corner.at, corner.shape.xy, corner.shape.z), 0.0, 1.0);
    // The corners' radius tells what has no alpha of its own.
    let alpha = select(texel.a, 1.0, corner.shape.z > 0.0);
    return vec4f(texel.rgb, alpha * inside * corner.shape.w);
}

@fragment
fn shadows(corner: Corner) -> @location(0) vec4f {
    let blur = corner.shape.z;
    let away = outside(corner.at, corner.shape.xy, blur) + blur;
    let strength = 1.0 - smoothstep(0.0, blur, away);
    return vec4f(0.0, 0.0, 0.0, corner.shape.w * strength * strength);
}
